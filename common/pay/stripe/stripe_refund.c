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
static struct pay_call *take_call(struct pay *pay, const struct pay_refund *refund,
                                  pay_answer_cb cb, void *arg)
{
    struct pay_call *call = stripe_take_call(pay, arg);
    if (call == NULL)
        return NULL;
    call->cb = cb;
    call->amount = refund->amount;
    memcpy(call->order_id, refund->order_id, strlen(refund->order_id) + 1);
    memcpy(call->currency, refund->currency, strlen(refund->currency) + 1);
    memcpy(call->intent_id, refund->intent_id, strlen(refund->intent_id) + 1);
    return call;
}

static void refunded(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_refund(response->status, response->body, response->body_len, call->intent_id,
                           &expected, &answer);
    stripe_finish(call, &answer);
}

/* Without an amount: all that is left of the payment. */
int pay_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb, void *arg)
{
    if (!refund_valid(refund))
        return ERR_INVALID;
    buf_reset(&pay->form);
    (void)buf_str(&pay->form, "payment_intent=");
    (void)percent_encode(&pay->form, refund->intent_id);
    (void)buf_str(&pay->form, "&metadata[order_id]=");
    (void)percent_encode(&pay->form, refund->order_id);
    if (pay->form.failed)
        return ERR_INVALID;
    struct pay_call *call = take_call(pay, refund, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&pay->key);
    (void)buf_str(&pay->key, "Idempotency-Key: ");
    (void)buf_str(&pay->key, refund->idempotency_key);
    return stripe_send(call, pay->refunds_url, &pay->form, refunded);
}

static void found(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    const struct pay_expected expected = {call->order_id, call->amount, call->currency};
    struct pay_answer answer;
    stripe_read_transport(response, &answer);
    if (response->code == 0)
        stripe_read_refunds(response->status, response->body, response->body_len, call->intent_id,
                            &expected, &answer);
    stripe_finish(call, &answer);
}

int pay_find_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb, void *arg)
{
    if (!refund_valid(refund))
        return ERR_INVALID;
    struct pay_call *call = take_call(pay, refund, cb, arg);
    if (call == NULL)
        return ERR_FULL;
    buf_reset(&pay->key);
    buf_reset(&pay->url);
    (void)buf_printf(&pay->url, "%s?limit=100&payment_intent=%s", pay->refunds_url,
                     refund->intent_id);
    return stripe_send(call, buf_text(&pay->url), NULL, found);
}
