#include "common/pay/stripe/stripe_answer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/err.h"

#define URL_MAX ((size_t)2048)
#define SECRET_MAX ((size_t)255)

static bool word(const char *text, size_t max)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= max && text[len] == '\0';
}

bool stripe_id_valid(const char *id)
{
    return word(id, PAY_ID_MAX);
}

/* Codes are shown to people and written to logs, so nothing that looks like a payment method, a key
 * or a client secret is one: these have capital letters, or a head of this kind. */
static bool code_valid(const char *code)
{
    static const char *const heads[] = {"pm_", "pi_", "sk_", "rk_", "pk_", "src_", "tok_", "seti_"};
    size_t len = strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789_");
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (strncmp(code, heads[i], strlen(heads[i])) == 0)
            return false;
    return len > 0 && len < PAY_CODE_MAX && code[len] == '\0';
}

static const char *string_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool string_is(const json_t *object, const char *name, const char *text)
{
    const char *found = string_at(object, name);
    return found != NULL && strcmp(found, text) == 0;
}

/* The code is for people: shown only if it looks like one. */
static void set(struct pay_answer *answer, enum pay_outcome outcome, const char *code)
{
    answer->outcome = outcome;
    answer->action[0] = '\0';
    (void)snprintf(answer->code, sizeof answer->code, "%s",
                   code != NULL && code_valid(code) ? code : "");
}

static void set_status(struct pay_answer *answer, enum pay_outcome outcome, unsigned status)
{
    char code[24];
    (void)snprintf(code, sizeof code, "http_%u", status);
    set(answer, outcome, code);
}

static void set_intent_id(struct pay_answer *answer, const json_t *intent)
{
    const char *id = string_at(intent, "id");
    if (id != NULL && stripe_id_valid(id))
        (void)snprintf(answer->intent_id, sizeof answer->intent_id, "%s", id);
}

/* The intent is not the one that was asked for. */
static void set_foreign(struct pay_answer *answer, const char *wrong)
{
    set(answer, PAY_UNKNOWN, wrong);
    answer->intent_id[0] = '\0';
}

static const char *error_code(const json_t *error)
{
    static const char *const names[] = {"decline_code", "code", "type"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *code = string_at(error, names[i]);
        if (code != NULL && code_valid(code))
            return code;
    }
    return NULL;
}

/* What is wrong with this intent as the one that was asked for; NULL: nothing. */
static const char *mismatch(const json_t *intent, const struct pay_expected *expected)
{
    const json_t *amount = json_object_get(intent, "amount");
    const char *currency = string_at(intent, "currency");
    if (!json_is_integer(amount) || json_integer_value(amount) != expected->amount)
        return "other_amount";
    if (currency == NULL || strcasecmp(currency, expected->currency) != 0)
        return "other_currency";
    if (!string_is(json_object_get(intent, "metadata"), "order_id", expected->order_id))
        return "other_order";
    return NULL;
}

/* A success says, where it says it, that all of it was received. */
static bool received_differs(const json_t *intent, int64_t amount)
{
    const json_t *received = json_object_get(intent, "amount_received");
    return received != NULL &&
           (!json_is_integer(received) || json_integer_value(received) != amount);
}

/* Of an intent that says what it should. One that waits for another card has been declined: nobody
 * but us could give it one. */
static enum pay_outcome outcome_of(const char *status)
{
    if (strcmp(status, "succeeded") == 0)
        return PAY_SUCCEEDED;
    if (strcmp(status, "requires_action") == 0)
        return PAY_REQUIRES_ACTION;
    bool ended = strcmp(status, "canceled") == 0 || strcmp(status, "requires_payment_method") == 0;
    return ended ? PAY_DECLINED : PAY_UNKNOWN;
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
    const char *url = string_at(json_object_get(action, "redirect_to_url"), "url");
    const char *secret = string_at(intent, "client_secret");
    if (string_is(action, "type", "redirect_to_url") && url != NULL && plain(url, URL_MAX) &&
        (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0))
        (void)snprintf(answer->action, sizeof answer->action,
                       "{\"type\":\"redirect_to_url\",\"url\":\"%s\"}", url);
    else if (string_is(action, "type", "use_stripe_sdk") && secret != NULL &&
             plain(secret, SECRET_MAX))
        (void)snprintf(answer->action, sizeof answer->action,
                       "{\"type\":\"use_stripe_sdk\",\"client_secret\":\"%s\"}", secret);
}

static void read_intent(const json_t *intent, const struct pay_expected *expected,
                        struct pay_answer *answer)
{
    set_intent_id(answer, intent);
    const char *status = string_at(intent, "status");
    if (!string_is(intent, "object", "payment_intent") || status == NULL ||
        answer->intent_id[0] == '\0') {
        set_foreign(answer, "malformed_answer");
        return;
    }
    const char *wrong = mismatch(intent, expected);
    if (wrong == NULL && strcmp(status, "succeeded") == 0)
        wrong = received_differs(intent, expected->amount) ? "other_amount" : NULL;
    if (wrong != NULL)
        set_foreign(answer, wrong);
    else
        set(answer, outcome_of(status), strcmp(status, "succeeded") == 0 ? "" : status);
    if (answer->outcome == PAY_REQUIRES_ACTION)
        read_action(intent, answer);
}

/* 402: the card was declined, unless the answer contradicts itself. */
static void read_decline(const json_t *error, const struct pay_expected *expected,
                         struct pay_answer *answer)
{
    const json_t *intent = json_object_get(error, "payment_intent");
    if (!string_is(error, "type", "card_error")) {
        set_status(answer, PAY_UNKNOWN, 402);
        return;
    }
    if (json_is_object(intent)) {
        const char *wrong = mismatch(intent, expected);
        set_intent_id(answer, intent);
        if (wrong == NULL && string_is(intent, "status", "succeeded"))
            wrong = "malformed_answer";
        if (wrong != NULL) {
            set_foreign(answer, wrong);
            return;
        }
    }
    set(answer, PAY_DECLINED, error_code(error));
}

/* What only this order's own fields can cause: its buyer's card or address, or a sum (price times
 * quantity) beyond what any card may be charged. */
static bool about_the_order(const json_t *error)
{
    if (string_is(error, "type", "idempotency_error"))
        return false;
    static const char *const codes[] = {"amount_too_large", "payment_method_unsupported_type",
                                        "payment_method_unexpected_state",
                                        "payment_method_customer_decline"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (string_is(error, "code", codes[i]))
            return true;
    return string_is(error, "param", "payment_method") ||
           string_is(error, "param", "receipt_email");
}

/* 400, 401, 403, 404: somebody set something wrong. */
static void read_refusal(unsigned status, const json_t *error, struct pay_answer *answer)
{
    const char *code = error_code(error);
    enum pay_outcome outcome = PAY_MISCONFIGURED;
    if (status == 400 && about_the_order(error))
        outcome = PAY_BAD_INPUT;
    if (status == 404 && code == NULL)
        outcome = PAY_UNKNOWN; /* no error of the API: something else answered for it */
    if (code != NULL)
        set(answer, outcome, code);
    else
        set_status(answer, outcome, status);
}

void stripe_read_charge(unsigned status, const char *body, size_t len,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(root, "error");
    ret_answer->intent_id[0] = '\0';
    ret_answer->of_the_api = status != 200 && string_at(error, "type") != NULL;
    if (status == 200 && root != NULL)
        read_intent(root, expected, ret_answer);
    else if (status == 200)
        set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    else if (status == 402)
        read_decline(error, expected, ret_answer);
    else if (status == 400 || status == 401 || status == 403 || status == 404)
        read_refusal(status, error, ret_answer);
    else
        set_status(ret_answer, PAY_UNKNOWN, status);
    json_decref(root);
}

/* ---- cancelling ---- */

void stripe_read_cancel(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(root, "error");
    /* 400: it is in a state that cannot be cancelled, which the error tells */
    const json_t *intent = status == 200 ? root : json_object_get(error, "payment_intent");
    ret_answer->intent_id[0] = '\0';
    ret_answer->of_the_api = status != 200 && string_at(error, "type") != NULL;
    if (status == 401 || status == 403)
        read_refusal(status, error, ret_answer);
    else if (status != 200 && (status != 400 || !json_is_object(intent)))
        set_status(ret_answer, PAY_UNKNOWN, status);
    else if (!string_is(intent, "id", intent_id))
        set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    else
        read_intent(intent, expected, ret_answer);
    /* only what cannot be confirmed any more is at its end */
    bool open = ret_answer->outcome == PAY_DECLINED && strcmp(ret_answer->code, "canceled") != 0;
    if (open || ret_answer->outcome == PAY_REQUIRES_ACTION)
        ret_answer->outcome = PAY_UNKNOWN;
    json_decref(root);
}

/* ---- looking at one ---- */

void stripe_read_get(unsigned status, const char *body, size_t len, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(root, "error");
    ret_answer->intent_id[0] = '\0';
    ret_answer->of_the_api = status != 200 && string_at(error, "type") != NULL;
    if (status == 401 || status == 403)
        read_refusal(status, error, ret_answer);
    else if (status != 200)
        set_status(ret_answer, PAY_UNKNOWN, status);
    else if (!string_is(root, "id", intent_id))
        set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    else
        read_intent(root, expected, ret_answer);
    json_decref(root);
}

/* ---- refunds ---- */

/* What is wrong with this refund as one of the payment that was asked for; NULL: nothing. */
static const char *refund_mismatch(const json_t *refund, const char *intent_id,
                                   const struct pay_expected *expected)
{
    const json_t *amount = json_object_get(refund, "amount");
    const char *currency = string_at(refund, "currency");
    const char *id = string_at(refund, "id");
    if (!string_is(refund, "object", "refund") || string_at(refund, "status") == NULL ||
        id == NULL || !stripe_id_valid(id))
        return "malformed_answer";
    if (!string_is(refund, "payment_intent", intent_id))
        return "other_payment";
    if (!json_is_integer(amount) || json_integer_value(amount) < 1 ||
        json_integer_value(amount) > expected->amount)
        return "other_amount";
    return currency == NULL || strcasecmp(currency, expected->currency) != 0 ? "other_currency"
                                                                             : NULL;
}

static bool refund_ended_badly(const json_t *refund)
{
    return string_is(refund, "status", "failed") || string_is(refund, "status", "canceled");
}

static void read_new_refund(const json_t *refund, const char *intent_id,
                            const struct pay_expected *expected, struct pay_answer *answer)
{
    const char *wrong = refund_mismatch(refund, intent_id, expected);
    if (wrong == NULL && json_integer_value(json_object_get(refund, "amount")) != expected->amount)
        wrong = "other_amount";
    if (wrong != NULL) {
        set_foreign(answer, wrong);
        return;
    }
    set_intent_id(answer, refund);
    if (string_is(refund, "status", "succeeded"))
        set(answer, PAY_SUCCEEDED, NULL);
    else if (refund_ended_badly(refund))
        set(answer, PAY_DECLINED, "failed");
    else
        set(answer, PAY_UNKNOWN, "pending");
}

/* A 400 or 404 that only this payment can cause. */
static bool about_the_payment(const json_t *error)
{
    static const char *const codes[] = {
        "charge_disputed", "charge_not_refundable", "payment_intent_unexpected_state",
        "refund_disputed_payment", "charge_exceeds_transaction_limit"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (string_is(error, "code", codes[i]))
            return true;
    return !string_is(error, "type", "idempotency_error") &&
           string_is(error, "code", "resource_missing") &&
           string_is(error, "param", "payment_intent");
}

void stripe_read_refund(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(root, "error");
    ret_answer->intent_id[0] = '\0';
    ret_answer->of_the_api = status != 200 && string_at(error, "type") != NULL;
    if (status == 200)
        read_new_refund(root, intent_id, expected, ret_answer);
    else if (status == 400 && string_is(error, "code", "charge_already_refunded"))
        set(ret_answer, PAY_UNKNOWN, "charge_already_refunded");
    else if ((status == 400 || status == 404) && about_the_payment(error))
        set(ret_answer, PAY_BAD_INPUT, error_code(error));
    else if (status == 400 || status == 401 || status == 403 || status == 404)
        read_refusal(status, error, ret_answer);
    else
        set_status(ret_answer, PAY_UNKNOWN, status);
    if (ret_answer->outcome == PAY_BAD_INPUT && !about_the_payment(error))
        ret_answer->outcome = PAY_MISCONFIGURED; /* what blames an order's card says nothing here */
    json_decref(root);
}

/* What the refunds of a page say together. */
static void sum_refunds(const json_t *data, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *answer)
{
    int64_t given_back = 0;
    bool pending = false;
    const char *nothing = "not_found";
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *refund = json_array_get(data, i);
        const char *wrong = refund_mismatch(refund, intent_id, expected);
        if (wrong != NULL) {
            set_foreign(answer, wrong);
            return;
        }
        if (string_is(refund, "status", "succeeded")) {
            given_back += json_integer_value(json_object_get(refund, "amount"));
            set_intent_id(answer, refund);
        } else if (refund_ended_badly(refund)) {
            nothing = "failed";
        } else {
            pending = true;
        }
    }
    if (given_back >= expected->amount)
        set(answer, PAY_SUCCEEDED, NULL);
    else if (pending)
        set(answer, PAY_UNKNOWN, "pending");
    else if (given_back > 0)
        set(answer, PAY_UNKNOWN, "partly_refunded");
    else
        set(answer, PAY_DECLINED, nothing);
}

void stripe_read_refunds(unsigned status, const char *body, size_t len, const char *intent_id,
                         const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *data = json_object_get(root, "data");
    ret_answer->intent_id[0] = '\0';
    ret_answer->of_the_api = false;
    if (status == 401 || status == 403)
        read_refusal(status, json_object_get(root, "error"), ret_answer);
    else if (status != 200)
        set_status(ret_answer, PAY_UNKNOWN, status);
    else if (!string_is(root, "object", "list") || !json_is_array(data) ||
             !json_is_false(json_object_get(root, "has_more")))
        set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    else
        sum_refunds(data, intent_id, expected, ret_answer);
    json_decref(root);
}

/* ---- listing ---- */

static int read_item(const json_t *item, struct pay_intent *ret_intent)
{
    const json_t *amount = json_object_get(item, "amount");
    const json_t *created = json_object_get(item, "created");
    *ret_intent = (struct pay_intent){
        .id = string_at(item, "id"),
        .order_id = string_at(json_object_get(item, "metadata"), "order_id"),
        .status = string_at(item, "status"),
        .amount = json_integer_value(amount),
        .currency = string_at(item, "currency"),
        .created_s = json_integer_value(created),
    };
    bool good = string_is(item, "object", "payment_intent") && json_is_integer(amount) &&
                json_is_integer(created) && ret_intent->id != NULL &&
                stripe_id_valid(ret_intent->id) && ret_intent->status != NULL &&
                ret_intent->currency != NULL;
    return good ? 0 : ERR_PARSE;
}

static int read_items(const json_t *root, unsigned limit, struct stripe_list *list)
{
    const json_t *data = json_object_get(root, "data");
    const json_t *has_more = json_object_get(root, "has_more");
    size_t count = json_array_size(data);
    if (!string_is(root, "object", "list") || !json_is_array(data) || !json_is_boolean(has_more) ||
        count > limit || (count == 0 && json_is_true(has_more)))
        return ERR_PARSE;
    list->intents = calloc(count + 1, sizeof *list->intents);
    if (list->intents == NULL)
        return ERR_NOMEM;
    list->count = count;
    list->has_more = json_is_true(has_more);
    for (size_t i = 0; i < count; i++)
        if (read_item(json_array_get(data, i), &list->intents[i]) < 0)
            return ERR_PARSE;
    return 0;
}

static int list_error(unsigned status)
{
    if (status == 401 || status == 403)
        return ERR_AUTH;
    return status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_REFUSED;
}

int stripe_read_list(unsigned status, const char *body, size_t len, unsigned limit,
                     struct stripe_list *ret_list)
{
    if (status != 200)
        return list_error(status);
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    struct stripe_list list = {.json = root};
    int code = read_items(root, limit, &list);
    if (code < 0)
        stripe_list_free(&list);
    else
        *ret_list = list;
    return code;
}

void stripe_list_free(struct stripe_list *list)
{
    free(list->intents);
    json_decref(list->json);
    *list = (struct stripe_list){0};
}
