/* Refunds at a gateway that speaks Stripe's API. */
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/pay/stripe/stripe_answer.h"
#include "common/pay/stripe/stripe_impl.h"

static bool refund_valid(const struct pay_refund *refund)
{
    return strlen(refund->order_id) <= PAY_ORDER_ID_MAX &&
           strlen(refund->currency) <= PAY_CURRENCY_MAX && stripe_id_valid(refund->intent_id) &&
           stripe_key_valid(refund->idempotency_key);
}

/* NULL: inflight_max is reached. */
static struct stripe_call *take_call(struct stripe *stripe, const struct pay_refund *refund,
                                     pay_answer_cb cb, void *arg)
{
    struct stripe_call *call = stripe_take_call(stripe, arg);
    if (call == NULL)
        return NULL;
    call->cb = cb;
    call->amount = refund->amount;
    stripe_trace(stripe, refund->traceparent);
    memcpy(call->order_id, refund->order_id, strlen(refund->order_id) + 1);
    memcpy(call->currency, refund->currency, strlen(refund->currency) + 1);
    memcpy(call->intent_id, refund->intent_id, strlen(refund->intent_id) + 1);
    return call;
}

static void refunded(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_refund(response->status, response->body, response->body_len, call->intent_id,
                           &expected, &answer);
    stripe_finish(call, &answer);
}

/* Without an amount: all that is left of the payment. */
int stripe_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb, void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (!refund_valid(refund))
        return ERR_INVALID;
    buf_reset(&stripe->form);
    (void)buf_str(&stripe->form, "payment_intent=");
    (void)percent_encode(&stripe->form, refund->intent_id);
    (void)buf_str(&stripe->form, "&metadata[order_id]=");
    (void)percent_encode(&stripe->form, refund->order_id);
    if (stripe->form.failed)
        return ERR_INVALID;
    struct stripe_call *call = take_call(stripe, refund, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&stripe->key);
    (void)buf_str(&stripe->key, "Idempotency-Key: ");
    (void)buf_str(&stripe->key, refund->idempotency_key);
    return stripe_send(call, stripe->refunds_url, &stripe->form, refunded);
}

static void found(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_refunds(response->status, response->body, response->body_len, call->intent_id,
                            &expected, &answer);
    stripe_finish(call, &answer);
}

int stripe_find_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb,
                       void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if (!refund_valid(refund))
        return ERR_INVALID;
    struct stripe_call *call = take_call(stripe, refund, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&stripe->key);
    buf_reset(&stripe->url);
    (void)buf_printf(&stripe->url, "%s?limit=100&payment_intent=%s", stripe->refunds_url,
                     refund->intent_id);
    return stripe_send(call, buf_text(&stripe->url), NULL, found);
}
