#include "common/pay/stripe/stripe_answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/pay/stripe/stripe_refusal.h"

#define URL_MAX ((size_t)2048)
#define SECRET_MAX ((size_t)255)

/* Whether the intent is the one of the order that was asked for. */
static bool is_of(const json_t *intent, const struct pay_expected *expected)
{
    return stripe_string_is(json_object_get(intent, "metadata"), "order_id", expected->order_id);
}

enum pay_intent_state stripe_intent_state(const char *status)
{
    static const struct {
        const char *status;
        enum pay_intent_state state;
    } states[] = {{"succeeded", PAY_INTENT_SUCCEEDED},
                  {"canceled", PAY_INTENT_CANCELLED},
                  {"requires_payment_method", PAY_INTENT_DECLINED},
                  {"requires_action", PAY_INTENT_ACTION},
                  {"processing", PAY_INTENT_PROCESSING}};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(status, states[i].status) == 0)
            return states[i].state;
    return PAY_INTENT_OPEN;
}

int64_t stripe_received(const json_t *intent)
{
    const json_t *amount = json_object_get(intent, "amount");
    const json_t *received = json_object_get(intent, "amount_received");
    const json_t *said = received == NULL ? amount : received;
    if (!json_is_integer(amount) || !json_is_integer(said) || json_integer_value(said) < 0)
        return -1;
    return json_integer_value(said);
}

/* Another sum or currency than was asked for; NULL: what was asked for. */
static const char *other_sum(const json_t *intent, int64_t sum, const struct pay_expected *expected)
{
    const char *currency = stripe_string(intent, "currency");
    if (sum != expected->amount)
        return "other_amount";
    return currency == NULL || strcasecmp(currency, expected->currency) != 0 ? "other_currency"
                                                                             : NULL;
}

/* Visible ASCII that needs no escaping in JSON. */
static bool plain(const char *text, size_t max)
{
    size_t len = 0;
    while (text[len] > ' ' && text[len] <= '~' && text[len] != '"' && text[len] != '\\')
        len++;
    return len > 0 && len <= max && text[len] == '\0';
}

/* What the buyer is to do: open a page of the bank's, or let the gateway's own script in the shop's
 * page do it. Nothing if it is neither. */
static void read_action(const json_t *intent, struct pay_answer *answer)
{
    const json_t *action = json_object_get(intent, "next_action");
    const char *url = stripe_string(json_object_get(action, "redirect_to_url"), "url");
    const char *secret = stripe_string(intent, "client_secret");
    if (stripe_string_is(action, "type", "redirect_to_url") && url != NULL && plain(url, URL_MAX) &&
        (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0))
        (void)snprintf(answer->action, sizeof answer->action,
                       "{\"type\":\"redirect_to_url\",\"url\":\"%s\"}", url);
    else if (stripe_string_is(action, "type", "use_stripe_sdk") && secret != NULL &&
             plain(secret, SECRET_MAX))
        (void)snprintf(answer->action, sizeof answer->action,
                       "{\"type\":\"use_stripe_sdk\",\"client_secret\":\"%s\"}", secret);
}

static void read_success(const json_t *intent, const struct pay_expected *expected,
                         struct pay_answer *answer)
{
    int64_t received = stripe_received(intent);
    const char *wrong = other_sum(intent, received, expected);
    if (wrong == NULL)
        wrong = other_sum(intent, json_integer_value(json_object_get(intent, "amount")), expected);
    answer->received = received;
    if (received < 0 || stripe_string(intent, "currency") == NULL)
        stripe_set_foreign(answer, "malformed_answer");
    else if (wrong != NULL)
        stripe_set(answer, PAY_OTHER_SUM, wrong);
    else
        stripe_set(answer, PAY_SUCCEEDED, NULL);
}

/* One that waits for another card has been declined: only we could give it one. */
static void read_intent(const json_t *intent, const struct pay_expected *expected,
                        struct pay_answer *answer)
{
    static const enum pay_outcome outcomes[] = {
        [PAY_INTENT_SUCCEEDED] = PAY_SUCCEEDED, [PAY_INTENT_CANCELLED] = PAY_CANCELLED,
        [PAY_INTENT_DECLINED] = PAY_DECLINED,   [PAY_INTENT_ACTION] = PAY_ACTION,
        [PAY_INTENT_PROCESSING] = PAY_PENDING,  [PAY_INTENT_OPEN] = PAY_PENDING};
    stripe_set_id(answer, intent);
    const char *status = stripe_string(intent, "status");
    if (!stripe_string_is(intent, "object", "payment_intent") || status == NULL ||
        answer->intent_id[0] == '\0') {
        stripe_set_foreign(answer, "malformed_answer");
        return;
    }
    if (!is_of(intent, expected)) {
        stripe_set_foreign(answer, "other_order");
        return;
    }
    enum pay_outcome outcome = outcomes[stripe_intent_state(status)];
    if (outcome == PAY_SUCCEEDED) {
        read_success(intent, expected, answer);
        return;
    }
    const json_t *amount = json_object_get(intent, "amount");
    if (outcome == PAY_ACTION && json_integer_value(amount) != expected->amount) {
        stripe_set_foreign(answer, "other_amount"); /* no buyer is sent to pay that */
        return;
    }
    stripe_set(answer, outcome, status);
    if (outcome == PAY_DECLINED || outcome == PAY_CANCELLED)
        answer->problem = PAY_USE_ANOTHER_METHOD;
    if (outcome == PAY_ACTION)
        read_action(intent, answer);
}

/* 402: the card was declined, unless the answer contradicts itself. With an intent of ours it does
 * not matter what the error calls itself. */
static void read_decline(const json_t *error, const struct pay_expected *expected,
                         struct pay_answer *answer)
{
    const json_t *intent = json_object_get(error, "payment_intent");
    if (json_is_object(intent)) {
        read_intent(intent, expected, answer);
        if (answer->outcome == PAY_SUCCEEDED)
            stripe_set_foreign(answer, "malformed_answer");
        else if (answer->outcome == PAY_DECLINED)
            stripe_set(answer, PAY_DECLINED, stripe_error_code(error));
        return;
    }
    stripe_set_refused(answer,
                       stripe_string_is(error, "type", "card_error") ? PAY_DECLINED : PAY_REFUSED,
                       error, 402);
    if (answer->outcome == PAY_DECLINED)
        answer->problem = PAY_USE_ANOTHER_METHOD;
}

void stripe_read_charge(unsigned status, const char *body, size_t len,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = stripe_parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_intent(root, expected, ret_answer);
    else if (!stripe_read_status(status, error, ret_answer)) {
        if (status == 402)
            read_decline(error, expected, ret_answer);
        else
            stripe_set_refused(ret_answer, PAY_REFUSED, error, status);
    }
    json_decref(root);
}

/* ---- cancelling, and looking at one ---- */

/* The intent `intent_id` itself; or an error that holds it: it is in a state that cannot be
 * cancelled. */
static void read_one(const json_t *intent, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *answer)
{
    if (!stripe_string_is(intent, "id", intent_id))
        stripe_set_foreign(answer, "malformed_answer");
    else
        read_intent(intent, expected, answer);
}

void stripe_read_cancel(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = stripe_parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    const json_t *intent = json_object_get(error, "payment_intent");
    if (status == 200)
        read_one(root, intent_id, expected, ret_answer);
    else if (status == 400 && json_is_object(intent))
        read_one(intent, intent_id, expected, ret_answer);
    else if (!stripe_read_status(status, error, ret_answer))
        stripe_set_refused(ret_answer, PAY_REFUSED, error, status);
    json_decref(root);
}

void stripe_read_get(unsigned status, const char *body, size_t len, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = stripe_parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_one(root, intent_id, expected, ret_answer);
    else if (!stripe_read_status(status, error, ret_answer))
        stripe_set_refused(ret_answer, PAY_REFUSED, error, status);
    json_decref(root);
}
