#include "common/pay/stripe/stripe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/pay/stripe/stripe_answer.h"
#include "common/pay/stripe/stripe_impl.h"

#define FORM_MAX ((size_t)16 * 1024)
#define HEADER_MAX ((size_t)8 * 1024)
#define URL_MAX ((size_t)4096)
#define CONNECT_TIMEOUT_MS 10000
#define LIST_LIMIT_MAX 100

/* ---- charging ---- */

/* Those that are named; or whatever the gateway's account allows, but without a page to come back
 * to none that redirects. */
static void write_methods(struct buf *form, const char *methods, const char *return_url)
{
    if (strcmp(methods, "automatic") == 0) {
        (void)buf_str(form, "&automatic_payment_methods[enabled]=true");
        if (return_url[0] == '\0')
            (void)buf_str(form, "&automatic_payment_methods[allow_redirects]=never");
        return;
    }
    for (unsigned n = 0; *methods != '\0'; n++) {
        size_t len = strcspn(methods, ",");
        (void)buf_printf(form, "&payment_method_types[%u]=%.*s", n, (int)len, methods);
        methods += len + (methods[len] == ',');
    }
}

static void write_metadata(struct buf *form, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    (void)buf_printf(form, "&metadata[%s]=", name);
    (void)percent_encode(form, value);
}

static void write_order(struct buf *form, const struct pay_charge *charge)
{
    write_metadata(form, "sku", charge->sku);
    if (charge->quantity > 0) {
        (void)buf_str(form, "&metadata[quantity]=");
        (void)buf_int(form, charge->quantity);
    }
    write_metadata(form, "reference", charge->reference);
    write_metadata(form, "customer", charge->customer);
}

static void write_form(struct buf *form, const struct pay_charge *charge,
                       const struct stripe *stripe)
{
    buf_reset(form);
    (void)buf_str(form, "amount=");
    (void)buf_int(form, charge->amount);
    (void)buf_str(form, "&currency=");
    (void)percent_encode(form, charge->currency);
    (void)buf_str(form, "&payment_method=");
    (void)percent_encode(form, charge->payment_method);
    (void)buf_str(form, "&confirm=true");
    write_methods(form, stripe->methods, stripe->return_url);
    if (stripe->return_url[0] != '\0') {
        (void)buf_str(form, "&return_url=");
        (void)percent_encode(form, stripe->return_url);
    }
    (void)buf_str(form, "&metadata[order_id]=");
    (void)percent_encode(form, charge->order_id);
    (void)buf_str(form, "&metadata[shard]=");
    (void)buf_int(form, charge->shard);
    write_order(form, charge);
    (void)buf_str(form, "&description=Order%20");
    (void)percent_encode(form, charge->order_id);
    if (charge->gateway_customer != NULL) {
        (void)buf_str(form, "&customer=");
        (void)percent_encode(form, charge->gateway_customer);
    }
    if (charge->receipt_email != NULL) {
        (void)buf_str(form, "&receipt_email=");
        (void)percent_encode(form, charge->receipt_email);
    }
}

static void charged(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_charge(response->status, response->body, response->body_len, &expected,
                           &answer);
    stripe_finish(call, &answer);
}

static bool charge_valid(const struct pay_charge *charge)
{
    return strlen(charge->order_id) <= PAY_ORDER_ID_MAX &&
           strlen(charge->currency) <= PAY_CURRENCY_MAX &&
           stripe_key_valid(charge->idempotency_key);
}

/* NULL: inflight_max is reached. */
static struct stripe_call *take_charge_call(struct stripe *stripe, const struct pay_charge *charge,
                                            pay_answer_cb cb, void *arg)
{
    struct stripe_call *call = stripe_take_call(stripe, arg);
    if (call == NULL)
        return NULL;
    call->cb = cb;
    call->amount = charge->amount;
    stripe_trace(stripe, charge->traceparent);
    memcpy(call->order_id, charge->order_id, strlen(charge->order_id) + 1);
    memcpy(call->currency, charge->currency, strlen(charge->currency) + 1);
    return call;
}

static int make_charge(struct pay *pay, const struct pay_charge *charge, pay_answer_cb cb,
                       void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (!charge_valid(charge))
        return ERR_INVALID;
    write_form(&stripe->form, charge, stripe);
    if (stripe->form.failed)
        return ERR_INVALID;
    struct stripe_call *call = take_charge_call(stripe, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&stripe->key);
    (void)buf_str(&stripe->key, "Idempotency-Key: ");
    (void)buf_str(&stripe->key, charge->idempotency_key);
    return stripe_send(call, stripe->intents_url, &stripe->form, charged);
}

static size_t inflight(const struct pay *pay)
{
    return ((const struct stripe *)pay)->inflight;
}

/* ---- cancelling ---- */

static void cancelled(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    if (response->code == 0)
        stripe_read_cancel(response->status, response->body, response->body_len, call->intent_id,
                           &expected, &answer);
    stripe_finish(call, &answer);
}

static int cancel_intent(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
                         pay_answer_cb cb, void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (!charge_valid(charge) || !stripe_id_valid(intent_id))
        return ERR_INVALID;
    struct stripe_call *call = take_charge_call(stripe, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    memcpy(call->intent_id, intent_id, strlen(intent_id) + 1);
    buf_reset(&stripe->key);
    buf_reset(&stripe->form);
    buf_reset(&stripe->url);
    (void)buf_printf(&stripe->url, "%s/%s/cancel", stripe->intents_url, intent_id);
    return stripe_send(call, buf_text(&stripe->url), &stripe->form, cancelled);
}

/* ---- looking at one ---- */

static void got(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    if (response->code == 0)
        stripe_read_get(response->status, response->body, response->body_len, call->intent_id,
                        &expected, &answer);
    stripe_finish(call, &answer);
}

static int get_intent(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
                      pay_answer_cb cb, void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (!charge_valid(charge) || !stripe_id_valid(intent_id))
        return ERR_INVALID;
    struct stripe_call *call = take_charge_call(stripe, charge, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    memcpy(call->intent_id, intent_id, strlen(intent_id) + 1);
    buf_reset(&stripe->key);
    buf_reset(&stripe->url);
    (void)buf_printf(&stripe->url, "%s/%s", stripe->intents_url, intent_id);
    return stripe_send(call, buf_text(&stripe->url), NULL, got);
}

/* ---- listing ---- */

#define REASON_SIZE 48

static void listed(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    pay_list_cb cb = call->list_cb;
    void *cb_arg = call->arg;
    struct stripe_list list = {0};
    int code = response->code;
    if (code == 0)
        code = stripe_read_list(response->status, response->body, response->body_len, call->limit,
                                &list);
    char reason[REASON_SIZE] = "";
    if (response->code != 0)
        (void)snprintf(reason, sizeof reason, "%s", response->reason);
    else if (response->status != 200)
        (void)snprintf(reason, sizeof reason, "http_%u", response->status);
    else if (code != 0)
        (void)snprintf(reason, sizeof reason, "malformed");
    const struct pay_page page = {.code = code,
                                  .reason = code == 0 ? NULL : reason,
                                  .intents = list.intents,
                                  .count = list.count,
                                  .has_more = list.has_more,
                                  .date_s = response->date_s};
    stripe_give_back(call);
    cb(&page, cb_arg);
    stripe_list_free(&list);
}

static int list_intents(struct pay *pay, int64_t created_from_s, const char *starting_after,
                        unsigned limit, pay_list_cb cb, void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (limit == 0 || limit > LIST_LIMIT_MAX ||
        (starting_after != NULL && !stripe_id_valid(starting_after)))
        return ERR_INVALID;
    struct stripe_call *call = stripe_take_call(stripe, arg);
    if (call == NULL)
        return ERR_FULL;
    call->list_cb = cb;
    call->limit = limit;
    buf_reset(&stripe->key);
    buf_reset(&stripe->url);
    (void)buf_printf(&stripe->url, "%s?limit=%u", stripe->intents_url, limit);
    if (created_from_s > 0)
        (void)buf_printf(&stripe->url, "&created%%5Bgte%%5D=%" PRId64, created_from_s);
    if (starting_after != NULL)
        (void)buf_printf(&stripe->url, "&starting_after=%s", starting_after);
    return stripe_send(call, buf_text(&stripe->url), NULL, listed);
}

/* ---- the gateway ---- */

static int copy_options(struct stripe *stripe, const struct stripe_options *options)
{
    size_t len = strlen(options->base_url);
    while (len > 0 && options->base_url[len - 1] == '/')
        len--;
    if (asprintf(&stripe->intents_url, "%.*s/v1/payment_intents", (int)len, options->base_url) <
        0) {
        stripe->intents_url = NULL;
        return ERR_NOMEM;
    }
    stripe->return_url = strdup(options->return_url == NULL ? "" : options->return_url);
    stripe->methods = strdup(options->methods == NULL ? "" : options->methods);
    if (stripe->return_url == NULL || stripe->methods == NULL)
        return ERR_NOMEM;
    if (asprintf(&stripe->refunds_url, "%.*s/v1/refunds", (int)len, options->base_url) < 0) {
        stripe->refunds_url = NULL;
        return ERR_NOMEM;
    }
    if (asprintf(&stripe->disputes_url, "%.*s/v1/disputes", (int)len, options->base_url) < 0) {
        stripe->disputes_url = NULL;
        return ERR_NOMEM;
    }
    (void)buf_str(&stripe->authorization, "Authorization: Bearer ");
    (void)buf_str(&stripe->authorization, options->secret_key);
    if (options->api_version[0] != '\0')
        (void)buf_printf(&stripe->version, "Stripe-Version: %s", options->api_version);
    stripe->calls = calloc(options->inflight_max, sizeof *stripe->calls);
    if (stripe->calls == NULL || stripe->authorization.failed || stripe->version.failed)
        return ERR_NOMEM;
    for (size_t i = options->inflight_max; i-- > 0;) {
        stripe->calls[i].stripe = stripe;
        SLIST_INSERT_HEAD(&stripe->idle, &stripe->calls[i], link);
    }
    return 0;
}

static void free_gateway(struct pay *pay)
{
    struct stripe *stripe = (struct stripe *)pay;
    curl_client_free(stripe->client);
    free(stripe->calls);
    free(stripe->intents_url);
    free(stripe->refunds_url);
    free(stripe->disputes_url);
    free(stripe->methods);
    free(stripe->return_url);
    if (stripe->authorization.data != NULL)
        explicit_bzero(stripe->authorization.data, stripe->authorization.len);
    buf_free(&stripe->authorization);
    buf_free(&stripe->version);
    buf_free(&stripe->key);
    buf_free(&stripe->trace);
    buf_free(&stripe->form);
    buf_free(&stripe->url);
    free(stripe);
}

static const struct pay_ops operations = {.charge = make_charge,
                                          .get = get_intent,
                                          .cancel = cancel_intent,
                                          .refund = stripe_refund,
                                          .find_refund = stripe_find_refund,
                                          .list = list_intents,
                                          .returns = stripe_returns,
                                          .inflight = inflight,
                                          .free = free_gateway};

struct pay *stripe_new(struct loop *loop, const struct stripe_options *options)
{
    struct stripe *stripe = calloc(1, sizeof *stripe);
    if (stripe == NULL)
        return NULL;
    stripe->timeout_ms = options->timeout_ms;
    SLIST_INIT(&stripe->idle);
    buf_init(&stripe->authorization, HEADER_MAX);
    buf_init(&stripe->version, HEADER_MAX);
    buf_init(&stripe->key, HEADER_MAX);
    buf_init(&stripe->trace, HEADER_MAX);
    buf_init(&stripe->form, FORM_MAX);
    buf_init(&stripe->url, URL_MAX);
    const struct curl_options curl = {.ca_file = options->ca_file,
                                      .connections_max = options->inflight_max,
                                      .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    stripe->client = curl_client_new(loop, &curl);
    stripe->pay.ops = &operations;
    if (stripe->client == NULL || copy_options(stripe, options) < 0) {
        free_gateway(&stripe->pay);
        return NULL;
    }
    return &stripe->pay;
}
