#include "common/pay_stripe_answer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"

#define LIST_MAX 100

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* Letters, digits and _ - . only: codes and ids go to logs and tables. */
static bool plain(const char *value)
{
    if (value == NULL || value[0] == '\0')
        return false;
    return value[strspn(
               value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")] == '\0';
}

static void copy_plain(char *to, size_t size, const char *value)
{
    if (plain(value) && strlen(value) < size)
        (void)snprintf(to, size, "%s", value);
}

static void set(struct pay_answer *answer, enum pay_outcome outcome, const char *code)
{
    answer->outcome = outcome;
    if (plain(code))
        copy_plain(answer->code, sizeof answer->code, code);
}

/* Whether the intent is the one we asked for: same order, amount and currency. */
static bool is_ours(const json_t *intent, const struct pay_expected *expected)
{
    const json_t *amount = json_object_get(intent, "amount");
    const char *order_id = text(json_object_get(intent, "metadata"), "order_id");
    const char *currency = text(intent, "currency");
    return json_is_integer(amount) && json_integer_value(amount) == expected->amount &&
           order_id != NULL && strcmp(order_id, expected->order_id) == 0 && currency != NULL &&
           strcasecmp(currency, expected->currency) == 0;
}

static bool fully_received(const json_t *intent, int64_t amount)
{
    const json_t *received = json_object_get(intent, "amount_received");
    return received == NULL ||
           (json_is_integer(received) && json_integer_value(received) == amount);
}

static void read_intent(const json_t *intent, const struct pay_expected *expected,
                        struct pay_answer *answer)
{
    const char *kind = text(intent, "object");
    const char *status = text(intent, "status");
    const char *id = text(intent, "id");
    if (kind == NULL || strcmp(kind, "payment_intent") != 0 || status == NULL || !plain(id) ||
        strlen(id) > PAY_ID_MAX) {
        set(answer, PAY_UNKNOWN, "unreadable_answer");
    } else if (!is_ours(intent, expected)) {
        set(answer, PAY_UNKNOWN, "answer_for_another_order");
    } else {
        copy_plain(answer->intent_id, sizeof answer->intent_id, id);
        if (strcmp(status, "succeeded") == 0 && fully_received(intent, expected->amount))
            set(answer, PAY_SUCCEEDED, NULL);
        else if (strcmp(status, "requires_action") == 0)
            set(answer, PAY_REQUIRES_ACTION, "requires_action");
        else if (strcmp(status, "canceled") == 0)
            set(answer, PAY_DECLINED, "canceled");
        else if (strcmp(status, "requires_payment_method") == 0)
            set(answer, PAY_DECLINED, "requires_payment_method");
        else
            set(answer, PAY_UNKNOWN, status);
    }
}

static bool begins_with(const char *value, const char *prefix)
{
    return value != NULL && strncmp(value, prefix, strlen(prefix)) == 0;
}

static void read_error(unsigned status, const json_t *root, struct pay_answer *answer)
{
    const json_t *error = json_object_get(root, "error");
    const char *type = text(error, "type");
    const char *code = text(error, "code");
    const char *decline = text(error, "decline_code");
    const char *intent_id = text(json_object_get(error, "payment_intent"), "id");
    bool card_error = type != NULL && strcmp(type, "card_error") == 0;
    copy_plain(answer->intent_id, sizeof answer->intent_id, intent_id);
    if (status == 402 && card_error)
        set(answer, PAY_DECLINED, decline != NULL ? decline : code);
    else if (status == 400 && begins_with(text(error, "param"), "payment_method"))
        set(answer, PAY_BAD_INPUT, code);
    else if (status == 401 || status == 403 || (status == 400 && type != NULL))
        set(answer, PAY_MISCONFIGURED, code != NULL ? code : type);
    else
        set(answer, PAY_UNKNOWN, code);
}

static void name_status(unsigned status, struct pay_answer *answer)
{
    if (answer->code[0] == '\0' && answer->outcome != PAY_SUCCEEDED)
        (void)snprintf(answer->code, sizeof answer->code, "http_%u", status);
}

void pay_stripe_read_charge(unsigned status, const char *body, size_t len,
                            const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    *ret_answer = (struct pay_answer){.outcome = PAY_UNKNOWN, .http_status = status, .sent = true};
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    if (status == 200 && json_is_object(root))
        read_intent(root, expected, ret_answer);
    else if (status >= 400 && status < 500)
        read_error(status, root, ret_answer);
    json_decref(root);
    name_status(status, ret_answer);
}

/* Stripe refuses to cancel what has succeeded: 400, code payment_intent_unexpected_state, and the
 * intent inside the error. */
static bool had_ended_before(unsigned status, const json_t *root, const json_t **ret_intent)
{
    const json_t *error = json_object_get(root, "error");
    const char *code = text(error, "code");
    *ret_intent = json_object_get(error, "payment_intent");
    return status == 400 && code != NULL && strcmp(code, "payment_intent_unexpected_state") == 0 &&
           json_is_object(*ret_intent);
}

void pay_stripe_read_cancel(unsigned status, const char *body, size_t len,
                            const struct pay_expected *expected, struct pay_answer *ret_answer)
{
    *ret_answer = (struct pay_answer){.outcome = PAY_UNKNOWN, .http_status = status, .sent = true};
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *ended;
    if (status == 200 && json_is_object(root))
        read_intent(root, expected, ret_answer);
    else if (had_ended_before(status, root, &ended))
        read_intent(ended, expected, ret_answer);
    else if (status >= 400 && status < 500)
        read_error(status, root, ret_answer);
    /* only "canceled" is the end here: an intent that may still be confirmed is not */
    if (ret_answer->outcome == PAY_REQUIRES_ACTION || ret_answer->outcome == PAY_BAD_INPUT ||
        (ret_answer->outcome == PAY_DECLINED && strcmp(ret_answer->code, "canceled") != 0))
        ret_answer->outcome = PAY_UNKNOWN;
    json_decref(root);
    name_status(status, ret_answer);
}

static bool read_listed(const json_t *value, struct pay_intent *ret_intent)
{
    const json_t *amount = json_object_get(value, "amount");
    const json_t *created = json_object_get(value, "created");
    *ret_intent =
        (struct pay_intent){.id = text(value, "id"),
                            .order_id = text(json_object_get(value, "metadata"), "order_id"),
                            .status = text(value, "status"),
                            .amount = json_integer_value(amount),
                            .currency = text(value, "currency"),
                            .created_s = json_integer_value(created)};
    return plain(ret_intent->id) && ret_intent->status != NULL && ret_intent->currency != NULL &&
           json_is_integer(amount) && json_is_integer(created);
}

static int list_failed(int code, pay_list_cb cb, void *arg)
{
    cb(code, NULL, 0, false, arg);
    return code;
}

int pay_stripe_read_list(unsigned status, const char *body, size_t len, pay_list_cb cb, void *arg)
{
    if (status != 200)
        return list_failed(status == 401 || status == 403 ? ERR_AUTH : ERR_UNAVAILABLE, cb, arg);
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *data = json_object_get(root, "data");
    const json_t *more = json_object_get(root, "has_more");
    size_t count = json_array_size(data);
    struct pay_intent intents[LIST_MAX];
    bool fine = json_is_array(data) && json_is_boolean(more) && count <= LIST_MAX;
    for (size_t i = 0; fine && i < count; i++)
        fine = read_listed(json_array_get(data, i), &intents[i]);
    int code = 0;
    if (fine)
        cb(0, intents, count, json_is_true(more), arg);
    else
        code = list_failed(ERR_PARSE, cb, arg);
    json_decref(root);
    return code;
}
