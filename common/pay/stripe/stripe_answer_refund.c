/* Answers about refunds. */
#include <string.h>
#include <strings.h>

#include "common/pay/stripe/stripe_answer.h"
#include "common/pay/stripe/stripe_refusal.h"

/* What is wrong with this refund as one of the payment that was asked for; NULL: nothing. */
static const char *refund_mismatch(const json_t *refund, const char *intent_id,
                                   const struct pay_expected *expected)
{
    const json_t *amount = json_object_get(refund, "amount");
    const char *currency = stripe_string(refund, "currency");
    const char *id = stripe_string(refund, "id");
    if (!stripe_string_is(refund, "object", "refund") || stripe_string(refund, "status") == NULL ||
        id == NULL || !stripe_id_valid(id))
        return "malformed_answer";
    if (!stripe_string_is(refund, "payment_intent", intent_id))
        return "other_payment";
    if (!json_is_integer(amount) || json_integer_value(amount) < 1 ||
        json_integer_value(amount) > expected->amount)
        return "other_amount";
    return currency == NULL || strcasecmp(currency, expected->currency) != 0 ? "other_currency"
                                                                             : NULL;
}

static bool refund_ended_badly(const json_t *refund)
{
    return stripe_string_is(refund, "status", "failed") ||
           stripe_string_is(refund, "status", "canceled");
}

static void read_new_refund(const json_t *refund, const char *intent_id,
                            const struct pay_expected *expected, struct pay_answer *answer)
{
    const char *wrong = refund_mismatch(refund, intent_id, expected);
    if (wrong != NULL) {
        stripe_set_foreign(answer, wrong);
        return;
    }
    if (json_integer_value(json_object_get(refund, "amount")) != expected->amount) {
        stripe_set(answer, PAY_OTHER_SUM, "other_amount");
        return;
    }
    stripe_set_id(answer, refund);
    if (stripe_string_is(refund, "status", "succeeded"))
        stripe_set(answer, PAY_SUCCEEDED, NULL);
    else if (refund_ended_badly(refund))
        stripe_set(answer, PAY_FAILED, "failed");
    else
        stripe_set(answer, PAY_PENDING, "pending");
}

/* A 400 or 404 that only this payment can cause. */
static bool about_the_payment(const json_t *error)
{
    static const char *const codes[] = {
        "charge_disputed", "charge_not_refundable", "payment_intent_unexpected_state",
        "refund_disputed_payment", "charge_exceeds_transaction_limit"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (stripe_string_is(error, "code", codes[i]))
            return true;
    return !stripe_string_is(error, "type", "idempotency_error") &&
           stripe_string_is(error, "code", "resource_missing") &&
           stripe_string_is(error, "param", "payment_intent");
}

void stripe_read_refund(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = stripe_parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_new_refund(root, intent_id, expected, ret_answer);
    else if (status == 400 && stripe_string_is(error, "code", "charge_already_refunded"))
        stripe_set(ret_answer, PAY_ALREADY, "charge_already_refunded");
    else if (!stripe_read_status(status, error, ret_answer))
        stripe_set_refused(ret_answer, about_the_payment(error) ? PAY_REFUSED : PAY_REFUSED_NOW,
                           error, status);
    json_decref(root);
}

/* What the refunds of a page say together. */
static void sum_refunds(const json_t *data, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *answer)
{
    int64_t returned = 0;
    bool pending = false;
    bool failed = false;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *refund = json_array_get(data, i);
        const char *wrong = refund_mismatch(refund, intent_id, expected);
        if (wrong != NULL) {
            stripe_set_foreign(answer, wrong);
            return;
        }
        if (stripe_string_is(refund, "status", "succeeded")) {
            returned += json_integer_value(json_object_get(refund, "amount"));
            stripe_set_id(answer, refund);
        } else if (refund_ended_badly(refund)) {
            failed = true;
        } else {
            pending = true;
        }
    }
    if (returned >= expected->amount)
        stripe_set(answer, PAY_SUCCEEDED, NULL);
    else if (pending)
        stripe_set(answer, PAY_PENDING, "pending");
    else if (returned > 0)
        stripe_set(answer, PAY_OTHER_SUM, "partly_refunded");
    else
        stripe_set(answer, failed ? PAY_FAILED : PAY_NOT_FOUND, failed ? "failed" : "not_found");
}

void stripe_read_refunds(unsigned status, const char *body, size_t len, const char *intent_id,
                         const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = stripe_parse(status, body, len, ret_answer);
    const json_t *data = json_object_get(root, "data");
    if (status != 200) {
        if (!stripe_read_status(status, json_object_get(root, "error"), ret_answer))
            stripe_set_refused(ret_answer, PAY_REFUSED_NOW, json_object_get(root, "error"), status);
    } else if (!stripe_string_is(root, "object", "list") || !json_is_array(data) ||
               !json_is_false(json_object_get(root, "has_more"))) {
        stripe_set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    } else {
        sum_refunds(data, intent_id, expected, ret_answer);
    }
    json_decref(root);
}
