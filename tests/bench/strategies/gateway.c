#include "tests/bench/strategies/gateway.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/client.h"

#define RETRY_NS 200000000L

struct gateway {
    CURL *curl;
    char url[256];
    char authorization[256];
};

static size_t discard(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

void gateway_begin(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        client_die("libcurl does not start");
}

struct gateway *gateway_new(const char *url, const char *key)
{
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL || (gateway->curl = curl_easy_init()) == NULL)
        client_die("out of memory");
    (void)snprintf(gateway->url, sizeof gateway->url, "%s/v1/payment_intents", url);
    (void)snprintf(gateway->authorization, sizeof gateway->authorization,
                   "Authorization: Bearer %s", key);
    curl_easy_setopt(gateway->curl, CURLOPT_URL, gateway->url);
    curl_easy_setopt(gateway->curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(gateway->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(gateway->curl, CURLOPT_TCP_NODELAY, 1L);
    return gateway;
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    curl_easy_cleanup(gateway->curl);
    free(gateway);
}

/* The status of one call, 0 if there was no answer. */
static long call_once(struct gateway *gateway, uint32_t number)
{
    char key[64];
    char form[512];
    (void)snprintf(key, sizeof key, "Idempotency-Key: rival-%u", number);
    (void)snprintf(form, sizeof form,
                   "amount=1999&currency=usd&confirm=true&payment_method=pm_card_visa"
                   "&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_"
                   "redirects]=never&metadata[order_id]=rival-%u",
                   number);
    struct curl_slist *headers = curl_slist_append(NULL, gateway->authorization);
    headers = curl_slist_append(headers, key);
    curl_easy_setopt(gateway->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(gateway->curl, CURLOPT_POSTFIELDS, form);
    long status = 0;
    if (curl_easy_perform(gateway->curl) == CURLE_OK)
        curl_easy_getinfo(gateway->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    return status;
}

bool gateway_charge(struct gateway *gateway, uint32_t number)
{
    for (;;) {
        long status = call_once(gateway, number);
        if (status == 200)
            return true;
        if (status == 402)
            return false;
        if (status >= 400 && status < 500 && status != 409 && status != 429)
            client_die("the gateway refuses: %ld", status);
        (void)nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
    }
}
