#include "common/pay/stripe/stripe_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/pay/stripe/stripe_answer.h"

#define FORM_MAX ((size_t)16 * 1024)
#define HEADER_MAX ((size_t)8 * 1024)
#define URL_MAX ((size_t)4096)
#define ANSWER_MAX ((size_t)256 * 1024)
#define LIST_ANSWER_MAX ((size_t)4 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 10000
#define KEY_MAX 255
#define LIST_LIMIT_MAX 100

const char *pay_outcome_text(enum pay_outcome outcome)
{
    switch (outcome) {
    case PAY_SUCCEEDED:
        return "succeeded";
    case PAY_DECLINED:
        return "declined";
    case PAY_BAD_INPUT:
        return "bad_input";
    case PAY_REQUIRES_ACTION:
        return "requires_action";
    case PAY_UNKNOWN:
        return "unknown";
    case PAY_MISCONFIGURED:
        return "misconfigured";
    }
    return "unknown";
}

/* ---- calls ---- */

struct pay_call *stripe_take_call(struct pay *pay, void *arg)
{
    struct pay_call *call = SLIST_FIRST(&pay->idle);
    if (call == NULL)
        return NULL;
    SLIST_REMOVE_HEAD(&pay->idle, link);
    pay->inflight++;
    call->arg = arg;
    return call;
}

static void give_back(struct pay_call *call)
{
    SLIST_INSERT_HEAD(&call->pay->idle, call, link);
    call->pay->inflight--;
}

/* Sends `form` (NULL: a GET) to `url`, with the key in pay->key if there is one. */
int stripe_send(struct pay_call *call, const char *url, const struct buf *form, curl_done_cb done)
{
    struct pay *pay = call->pay;
    const char *headers[6] = {buf_text(&pay->authorization),
                              "Accept: application/json",
                              form == NULL ? NULL
                                           : "Content-Type: application/x-www-form-urlencoded",
                              NULL,
                              NULL,
                              NULL};
    size_t count = form == NULL ? 2 : 3;
    if (pay->version.len > 0)
        headers[count++] = buf_text(&pay->version);
    if (pay->key.len > 0)
        headers[count] = buf_text(&pay->key);
    struct curl_request request = {.method = form == NULL ? "GET" : "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = form == NULL ? NULL : buf_text(form),
                                   .body_len = form == NULL ? 0 : form->len,
                                   .timeout_ms = pay->timeout_ms,
                                   .response_max = form == NULL ? LIST_ANSWER_MAX : ANSWER_MAX};
    int code = curl_call_start(pay->client, &request, done, call, NULL);
    if (code < 0)
        give_back(call);
    return code;
}

/* The part of an answer that is no HTTP answer's, or is every one's. */
void stripe_read_transport(const struct curl_response *response, struct pay_answer *answer)
{
    answer->action[0] = '\0';
    answer->http_status = response->status;
    answer->sent = response->connected;
    answer->replayed = response->code == 0 && response->replayed;
    answer->retry_after_s = response->retry_after_s;
    if (response->code == 0)
        return;
    const char *code = "connection_lost";
    if (response->code == ERR_TIMEOUT)
        code = "timeout";
    else if (response->code == ERR_FULL)
        code = "answer_too_long";
    else if (!response->connected)
        code = "not_connected";
    answer->outcome = PAY_UNKNOWN;
    answer->of_the_api = false;
    answer->intent_id[0] = '\0';
    (void)snprintf(answer->code, sizeof answer->code, "%s", code);
}

/* The call is idle again before its callback, which may free everything. */
void stripe_finish(struct pay_call *call, const struct pay_answer *answer)
{
    pay_answer_cb cb = call->cb;
    void *arg = call->arg;
    give_back(call);
    cb(answer, arg);
}

/* ---- charging ---- */

static void write_form(struct buf *form, const struct pay_charge *charge, const char *return_url)
{
    buf_reset(form);
    (void)buf_str(form, "amount=");
    (void)buf_int(form, charge->amount);
    (void)buf_str(form, "&currency=");
    (void)percent_encode(form, charge->currency);
    (void)buf_str(form, "&payment_method=");
    (void)percent_encode(form, charge->payment_method);
    (void)buf_str(form, "&confirm=true&automatic_payment_methods[enabled]=true");
    if (return_url[0] == '\0') {
        (void)buf_str(form, "&automatic_payment_methods[allow_redirects]=never");
    } else {
        (void)buf_str(form, "&return_url=");
        (void)percent_encode(form, return_url);
    }
    (void)buf_str(form, "&metadata[order_id]=");
    (void)percent_encode(form, charge->order_id);
    (void)buf_str(form, "&metadata[shard]=");
    (void)buf_int(form, charge->shard);
    (void)buf_str(form, "&description=Order%20");
    (void)percent_encode(form, charge->order_id);
    if (charge->receipt_email != NULL) {
        (void)buf_str(form, "&receipt_email=");
        (void)percent_encode(form, charge->receipt_email);
    }
}

static void charged(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_charge(response->status, response->body, response->body_len, &expected,
                           &answer);
    stripe_finish(call, &answer);
}

/* A header's value: visible ASCII only. */
bool stripe_key_valid(const char *key)
{
    size_t len = 0;
    while (key[len] > ' ' && key[len] <= '~')
        len++;
    return len > 0 && len <= KEY_MAX && key[len] == '\0';
}

static bool charge_valid(const struct pay_charge *charge)
{
    return strlen(charge->order_id) <= PAY_ORDER_ID_MAX &&
           strlen(charge->currency) <= PAY_CURRENCY_MAX &&
           stripe_key_valid(charge->idempotency_key);
}

/* NULL: inflight_max is reached. */
static struct pay_call *take_charge_call(struct pay *pay, const struct pay_charge *charge,
                                         pay_answer_cb cb, void *arg)
{
    struct pay_call *call = stripe_take_call(pay, arg);
    if (call == NULL)
        return NULL;
    call->cb = cb;
    call->amount = charge->amount;
    memcpy(call->order_id, charge->order_id, strlen(charge->order_id) + 1);
    memcpy(call->currency, charge->currency, strlen(charge->currency) + 1);
    return call;
}

int pay_charge(struct pay *pay, const struct pay_charge *charge, pay_answer_cb cb, void *arg)
{
    if (!charge_valid(charge))
        return ERR_INVALID;
    write_form(&pay->form, charge, pay->return_url);
    if (pay->form.failed)
        return ERR_INVALID;
    struct pay_call *call = take_charge_call(pay, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&pay->key);
    (void)buf_str(&pay->key, "Idempotency-Key: ");
    (void)buf_str(&pay->key, charge->idempotency_key);
    return stripe_send(call, pay->intents_url, &pay->form, charged);
}

size_t pay_inflight(const struct pay *pay)
{
    return pay->inflight;
}

/* ---- cancelling ---- */

static void cancelled(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    if (response->code == 0)
        stripe_read_cancel(response->status, response->body, response->body_len, call->intent_id,
                           &expected, &answer);
    stripe_finish(call, &answer);
}

int pay_cancel(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
               pay_answer_cb cb, void *arg)
{
    if (!charge_valid(charge) || !stripe_id_valid(intent_id))
        return ERR_INVALID;
    struct pay_call *call = take_charge_call(pay, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    memcpy(call->intent_id, intent_id, strlen(intent_id) + 1);
    buf_reset(&pay->key);
    buf_reset(&pay->form);
    buf_reset(&pay->url);
    (void)buf_printf(&pay->url, "%s/%s/cancel", pay->intents_url, intent_id);
    return stripe_send(call, buf_text(&pay->url), &pay->form, cancelled);
}

/* ---- looking at one ---- */

static void got(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    if (response->code == 0)
        stripe_read_get(response->status, response->body, response->body_len, call->intent_id,
                        &expected, &answer);
    stripe_finish(call, &answer);
}

int pay_get(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
            pay_answer_cb cb, void *arg)
{
    if (!charge_valid(charge) || !stripe_id_valid(intent_id))
        return ERR_INVALID;
    struct pay_call *call = take_charge_call(pay, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    memcpy(call->intent_id, intent_id, strlen(intent_id) + 1);
    buf_reset(&pay->key);
    buf_reset(&pay->url);
    (void)buf_printf(&pay->url, "%s/%s", pay->intents_url, intent_id);
    return stripe_send(call, buf_text(&pay->url), NULL, got);
}

/* ---- listing ---- */

static void listed(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    pay_list_cb cb = call->list_cb;
    void *cb_arg = call->arg;
    struct stripe_list list = {0};
    int code = response->code;
    if (code == 0)
        code = stripe_read_list(response->status, response->body, response->body_len, call->limit,
                                &list);
    give_back(call);
    cb(code, list.intents, list.count, list.has_more, cb_arg);
    stripe_list_free(&list);
}

int pay_list(struct pay *pay, int64_t created_from_s, const char *starting_after, unsigned limit,
             pay_list_cb cb, void *arg)
{
    if (limit == 0 || limit > LIST_LIMIT_MAX ||
        (starting_after != NULL && !stripe_id_valid(starting_after)))
        return ERR_INVALID;
    struct pay_call *call = stripe_take_call(pay, arg);
    if (call == NULL)
        return ERR_FULL;
    call->list_cb = cb;
    call->limit = limit;
    buf_reset(&pay->key);
    buf_reset(&pay->url);
    (void)buf_printf(&pay->url, "%s?limit=%u", pay->intents_url, limit);
    if (created_from_s > 0)
        (void)buf_printf(&pay->url, "&created%%5Bgte%%5D=%" PRId64, created_from_s);
    if (starting_after != NULL)
        (void)buf_printf(&pay->url, "&starting_after=%s", starting_after);
    return stripe_send(call, buf_text(&pay->url), NULL, listed);
}

/* ---- the gateway ---- */

static int copy_options(struct pay *pay, const struct pay_options *options)
{
    size_t len = strlen(options->base_url);
    while (len > 0 && options->base_url[len - 1] == '/')
        len--;
    if (asprintf(&pay->intents_url, "%.*s/v1/payment_intents", (int)len, options->base_url) < 0) {
        pay->intents_url = NULL;
        return ERR_NOMEM;
    }
    pay->return_url = strdup(options->return_url == NULL ? "" : options->return_url);
    if (pay->return_url == NULL)
        return ERR_NOMEM;
    if (asprintf(&pay->refunds_url, "%.*s/v1/refunds", (int)len, options->base_url) < 0) {
        pay->refunds_url = NULL;
        return ERR_NOMEM;
    }
    (void)buf_str(&pay->authorization, "Authorization: Bearer ");
    (void)buf_str(&pay->authorization, options->secret_key);
    if (options->api_version[0] != '\0')
        (void)buf_printf(&pay->version, "Stripe-Version: %s", options->api_version);
    pay->calls = calloc(options->inflight_max, sizeof *pay->calls);
    if (pay->calls == NULL || pay->authorization.failed || pay->version.failed)
        return ERR_NOMEM;
    for (size_t i = options->inflight_max; i-- > 0;) {
        pay->calls[i].pay = pay;
        SLIST_INSERT_HEAD(&pay->idle, &pay->calls[i], link);
    }
    return 0;
}

struct pay *pay_new(struct loop *loop, const struct pay_options *options)
{
    struct pay *pay = calloc(1, sizeof *pay);
    if (pay == NULL)
        return NULL;
    pay->timeout_ms = options->timeout_ms;
    SLIST_INIT(&pay->idle);
    buf_init(&pay->authorization, HEADER_MAX);
    buf_init(&pay->version, HEADER_MAX);
    buf_init(&pay->key, HEADER_MAX);
    buf_init(&pay->form, FORM_MAX);
    buf_init(&pay->url, URL_MAX);
    const struct curl_options curl = {.ca_file = options->ca_file,
                                      .connections_max = options->inflight_max,
                                      .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    pay->client = curl_client_new(loop, &curl);
    if (pay->client == NULL || copy_options(pay, options) < 0) {
        pay_free(pay);
        return NULL;
    }
    return pay;
}

void pay_free(struct pay *pay)
{
    if (pay == NULL)
        return;
    curl_client_free(pay->client);
    free(pay->calls);
    free(pay->intents_url);
    free(pay->refunds_url);
    free(pay->return_url);
    if (pay->authorization.data != NULL)
        explicit_bzero(pay->authorization.data, pay->authorization.len);
    buf_free(&pay->authorization);
    buf_free(&pay->version);
    buf_free(&pay->key);
    buf_free(&pay->form);
    buf_free(&pay->url);
    free(pay);
}
