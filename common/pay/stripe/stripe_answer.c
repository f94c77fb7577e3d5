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

/* Whether the intent is the one of the order that was asked for. */
static bool is_of(const json_t *intent, const struct pay_expected *expected)
{
    return string_is(json_object_get(intent, "metadata"), "order_id", expected->order_id);
}

static enum pay_intent_state state_of(const char *status)
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

/* What a success says that was taken: all of the amount, unless it says how much. -1: nonsense. */
static int64_t received_of(const json_t *intent)
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
    const char *currency = string_at(intent, "currency");
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

static void read_success(const json_t *intent, const struct pay_expected *expected,
                         struct pay_answer *answer)
{
    int64_t received = received_of(intent);
    const char *wrong = other_sum(intent, received, expected);
    if (wrong == NULL)
        wrong = other_sum(intent, json_integer_value(json_object_get(intent, "amount")), expected);
    answer->received = received;
    if (received < 0 || string_at(intent, "currency") == NULL)
        set_foreign(answer, "malformed_answer");
    else if (wrong != NULL)
        set(answer, PAY_OTHER_SUM, wrong);
    else
        set(answer, PAY_SUCCEEDED, NULL);
}

/* One that waits for another card has been declined: only we could give it one. */
static void read_intent(const json_t *intent, const struct pay_expected *expected,
                        struct pay_answer *answer)
{
    static const enum pay_outcome outcomes[] = {
        [PAY_INTENT_SUCCEEDED] = PAY_SUCCEEDED, [PAY_INTENT_CANCELLED] = PAY_CANCELLED,
        [PAY_INTENT_DECLINED] = PAY_DECLINED,   [PAY_INTENT_ACTION] = PAY_ACTION,
        [PAY_INTENT_PROCESSING] = PAY_PENDING,  [PAY_INTENT_OPEN] = PAY_PENDING};
    set_intent_id(answer, intent);
    const char *status = string_at(intent, "status");
    if (!string_is(intent, "object", "payment_intent") || status == NULL ||
        answer->intent_id[0] == '\0') {
        set_foreign(answer, "malformed_answer");
        return;
    }
    if (!is_of(intent, expected)) {
        set_foreign(answer, "other_order");
        return;
    }
    enum pay_outcome outcome = outcomes[state_of(status)];
    if (outcome == PAY_SUCCEEDED) {
        read_success(intent, expected, answer);
        return;
    }
    const json_t *amount = json_object_get(intent, "amount");
    if (outcome == PAY_ACTION && json_integer_value(amount) != expected->amount) {
        set_foreign(answer, "other_amount"); /* no buyer is sent to pay that */
        return;
    }
    set(answer, outcome, status);
    if (outcome == PAY_DECLINED || outcome == PAY_CANCELLED)
        answer->problem = PAY_USE_ANOTHER_METHOD;
    if (outcome == PAY_ACTION)
        read_action(intent, answer);
}

/* ---- refusals ---- */

/* What the buyer can do: a hint for people, by the field that is refused. */
static enum pay_problem problem_of(const char *param, const char *code)
{
    static const struct {
        const char *head;
        enum pay_problem problem;
    } heads[] = {{"payment_method", PAY_USE_ANOTHER_METHOD},
                 {"source", PAY_USE_ANOTHER_METHOD},
                 {"amount", PAY_WRONG_AMOUNT},
                 {"currency", PAY_WRONG_CURRENCY},
                 {"invalid_currency", PAY_WRONG_CURRENCY},
                 {"card", PAY_USE_ANOTHER_METHOD}};
    const char *words[] = {param, code};
    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        for (size_t i = 0; words[w] != NULL && i < ARRAY_LEN(heads); i++)
            if (strncmp(words[w], heads[i].head, strlen(heads[i].head)) == 0)
                return heads[i].problem;
    /* one without any word may be a method that was used before: that one says no more */
    return param == NULL && code == NULL ? PAY_USE_ANOTHER_METHOD : PAY_TRY_AGAIN;
}

static bool param_valid(const char *param)
{
    size_t len = strspn(param, "abcdefghijklmnopqrstuvwxyz0123456789_[]");
    return len > 0 && len < PAY_PARAM_MAX && param[len] == '\0';
}

static void set_refused(struct pay_answer *answer, enum pay_outcome outcome, const json_t *error,
                        unsigned status)
{
    const char *code = error_code(error);
    const char *param = string_at(error, "param");
    if (code != NULL)
        set(answer, outcome, code);
    else
        set_status(answer, outcome, status);
    answer->problem = problem_of(param, string_at(error, "code"));
    if (param != NULL && param_valid(param))
        (void)snprintf(answer->param, sizeof answer->param, "%s", param);
}

/* What every call may be answered instead of an answer. True: it was. */
static bool read_status(unsigned status, const json_t *error, struct pay_answer *answer)
{
    if (status == 401 || status == 403)
        set_refused(answer, status == 401 ? PAY_UNAUTHORIZED : PAY_FORBIDDEN, error, status);
    else if (status == 429)
        set_status(answer, PAY_BUSY, status);
    else if (status >= 500)
        set_status(answer, answer->of_the_api ? PAY_ERROR : PAY_UNKNOWN, status);
    else if (status == 409 || status < 400)
        set_status(answer, PAY_UNKNOWN, status);
    else if (string_is(error, "type", "idempotency_error"))
        set(answer, PAY_KEY_USED, "idempotency_error");
    else if (!answer->of_the_api) /* something before the API has answered for it */
        set_status(answer, PAY_UNKNOWN, status);
    else
        return false;
    answer->problem = PAY_NO_PROBLEM;
    answer->param[0] = '\0';
    return true;
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
            set_foreign(answer, "malformed_answer");
        else if (answer->outcome == PAY_DECLINED)
            set(answer, PAY_DECLINED, error_code(error));
        return;
    }
    set_refused(answer, string_is(error, "type", "card_error") ? PAY_DECLINED : PAY_REFUSED, error,
                402);
    if (answer->outcome == PAY_DECLINED)
        answer->problem = PAY_USE_ANOTHER_METHOD;
}

/* Begins an answer. To be freed. */
static json_t *parse(unsigned status, const char *body, size_t len, struct pay_answer *answer)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    answer->intent_id[0] = '\0';
    answer->param[0] = '\0';
    answer->problem = PAY_NO_PROBLEM;
    answer->received = 0;
    answer->of_the_api = status != 200 && string_at(json_object_get(root, "error"), "type") != NULL;
    return root;
}

void stripe_read_charge(unsigned status, const char *body, size_t len,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_intent(root, expected, ret_answer);
    else if (!read_status(status, error, ret_answer)) {
        if (status == 402)
            read_decline(error, expected, ret_answer);
        else
            set_refused(ret_answer, PAY_REFUSED, error, status);
    }
    json_decref(root);
}

/* ---- cancelling, and looking at one ---- */

/* The intent `intent_id` itself; or an error that holds it: it is in a state that cannot be
 * cancelled. */
static void read_one(const json_t *intent, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *answer)
{
    if (!string_is(intent, "id", intent_id))
        set_foreign(answer, "malformed_answer");
    else
        read_intent(intent, expected, answer);
}

void stripe_read_cancel(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    const json_t *intent = json_object_get(error, "payment_intent");
    if (status == 200)
        read_one(root, intent_id, expected, ret_answer);
    else if (status == 400 && json_is_object(intent))
        read_one(intent, intent_id, expected, ret_answer);
    else if (!read_status(status, error, ret_answer))
        set_refused(ret_answer, PAY_REFUSED, error, status);
    json_decref(root);
}

void stripe_read_get(unsigned status, const char *body, size_t len, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_one(root, intent_id, expected, ret_answer);
    else if (!read_status(status, error, ret_answer))
        set_refused(ret_answer, PAY_REFUSED, error, status);
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
    if (wrong != NULL) {
        set_foreign(answer, wrong);
        return;
    }
    if (json_integer_value(json_object_get(refund, "amount")) != expected->amount) {
        set(answer, PAY_OTHER_SUM, "other_amount");
        return;
    }
    set_intent_id(answer, refund);
    if (string_is(refund, "status", "succeeded"))
        set(answer, PAY_SUCCEEDED, NULL);
    else if (refund_ended_badly(refund))
        set(answer, PAY_FAILED, "failed");
    else
        set(answer, PAY_PENDING, "pending");
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
    json_t *root = parse(status, body, len, ret_answer);
    const json_t *error = json_object_get(root, "error");
    if (status == 200)
        read_new_refund(root, intent_id, expected, ret_answer);
    else if (status == 400 && string_is(error, "code", "charge_already_refunded"))
        set(ret_answer, PAY_ALREADY, "charge_already_refunded");
    else if (!read_status(status, error, ret_answer))
        set_refused(ret_answer, about_the_payment(error) ? PAY_REFUSED : PAY_REFUSED_NOW, error,
                    status);
    json_decref(root);
}

/* What the refunds of a page say together. */
static void sum_refunds(const json_t *data, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *answer)
{
    int64_t given_back = 0;
    bool pending = false;
    bool failed = false;
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
            failed = true;
        } else {
            pending = true;
        }
    }
    if (given_back >= expected->amount)
        set(answer, PAY_SUCCEEDED, NULL);
    else if (pending)
        set(answer, PAY_PENDING, "pending");
    else if (given_back > 0)
        set(answer, PAY_OTHER_SUM, "partly_refunded");
    else
        set(answer, failed ? PAY_FAILED : PAY_NOT_FOUND, failed ? "failed" : "not_found");
}

void stripe_read_refunds(unsigned status, const char *body, size_t len, const char *intent_id,
                         const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    json_t *root = parse(status, body, len, ret_answer);
    const json_t *data = json_object_get(root, "data");
    if (status != 200) {
        if (!read_status(status, json_object_get(root, "error"), ret_answer))
            set_refused(ret_answer, PAY_REFUSED_NOW, json_object_get(root, "error"), status);
    } else if (!string_is(root, "object", "list") || !json_is_array(data) ||
               !json_is_false(json_object_get(root, "has_more"))) {
        set(ret_answer, PAY_UNKNOWN, "malformed_answer");
    } else {
        sum_refunds(data, intent_id, expected, ret_answer);
    }
    json_decref(root);
}

/* ---- listing ---- */

static int read_item(const json_t *item, struct pay_intent *ret_intent)
{
    const json_t *amount = json_object_get(item, "amount");
    const json_t *created = json_object_get(item, "created");
    const char *status = string_at(item, "status");
    *ret_intent = (struct pay_intent){
        .id = string_at(item, "id"),
        .order_id = string_at(json_object_get(item, "metadata"), "order_id"),
        .state = status == NULL ? PAY_INTENT_OPEN : state_of(status),
        .amount = json_integer_value(amount),
        .received = received_of(item),
        .currency = string_at(item, "currency"),
        .created_s = json_integer_value(created),
    };
    if (ret_intent->state == PAY_INTENT_SUCCEEDED && ret_intent->received < 0)
        return ERR_PARSE;
    bool good = string_is(item, "object", "payment_intent") && json_is_integer(amount) &&
                json_is_integer(created) && ret_intent->id != NULL &&
                stripe_id_valid(ret_intent->id) && status != NULL && ret_intent->currency != NULL;
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
