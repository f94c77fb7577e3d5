/* Webhooks of somebody who says that he is the gateway. The first line of the input is the
 * Stripe-Signature header, its body follows. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/webhook/webhook.h"
#include "producer/webhook/webhook_signature.h"

#define SECRET "whsec_fuzz"
#define NOW_S 1700000000
#define HEADER_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

#define MUST(condition) must((condition), #condition)

/* Whether the header holds the signature of this time; worked out without the code under test. */
static bool is_signed_at(const char *header, const char *stamp, const char *body, size_t len)
{
    size_t digits = strspn(stamp, "0123456789");
    long long at = strtoll(stamp, NULL, 10);
    if (at < NOW_S - WEBHOOK_TOLERANCE_S || at > NOW_S + WEBHOOK_TOLERANCE_S)
        return false;
    char *text = malloc(digits + 1 + len);
    MUST(text != NULL);
    memcpy(text, stamp, digits);
    text[digits] = '.';
    memcpy(text + digits + 1, body, len);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    (void)HMAC(EVP_sha256(), SECRET, strlen(SECRET), (unsigned char *)text, digits + 1 + len, mac,
               &mac_len);
    for (unsigned i = 0; i < mac_len; i++)
        (void)snprintf(hex + 2 * (size_t)i, 3, "%02x", mac[i]);
    free(text);
    return strcasestr(header, hex) != NULL;
}

/* Of any of its times, which is about now. */
static bool is_signed(const char *header, const char *body, size_t len)
{
    for (const char *stamp = strstr(header, "t="); stamp != NULL; stamp = strstr(stamp + 1, "t="))
        if (is_signed_at(header, stamp + 2, body, len))
            return true;
    return false;
}

static void check_event(const char *body, size_t len)
{
    struct webhook_event event;
    memset(&event, 0x5a, sizeof event);
    if (webhook_read(body, len, &event) < 0)
        return;
    MUST(memchr(event.id, '\0', sizeof event.id) != NULL);
    MUST(memchr(event.type, '\0', sizeof event.type) != NULL);
    MUST(memchr(event.order_id, '\0', sizeof event.order_id) != NULL);
    MUST(event.order_id[0] == '\0' || strlen(event.order_id) == IDS_ORDER_SIZE - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size == 0 ? NULL : memchr(text, '\n', size < HEADER_MAX ? size : HEADER_MAX);
    if (end == NULL)
        return 0;
    char *header = strndup(text, (size_t)(end - text));
    size_t len = size - (size_t)(end - text) - 1;
    char *body = malloc(len == 0 ? 1 : len); /* nothing behind it, for the sanitizer to see */
    MUST(header != NULL && body != NULL);
    memcpy(body, end + 1, len);
    if (webhook_verify(SECRET, strlen(SECRET), header, body, len, NOW_S) == 0)
        MUST(is_signed(header, body, len));
    check_event(body, len);
    free(header);
    free(body);
    return 0;
}
