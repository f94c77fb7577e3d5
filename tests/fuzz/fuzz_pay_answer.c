/* Answers of a hostile gateway. The first line of the input says what was asked and the HTTP status
 * of the answer, like "charge 200"; its body follows. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/pay/stripe/stripe_answer.h"

#define LIMIT 3
#define HEAD_MAX 31

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pay_expected expected = {"order-1", 4900, "EUR"};

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

#define MUST(condition) must((condition), #condition)

static bool all_of(const char *text, const char *set)
{
    return text[strspn(text, set)] == '\0';
}

/* What is shown to people and stored, whatever was answered. */
static void check_answer(const struct pay_answer *answer)
{
    MUST(answer->outcome >= PAY_SUCCEEDED && answer->outcome < PAY_OUTCOMES);
    MUST(memchr(answer->code, '\0', sizeof answer->code) != NULL);
    MUST(memchr(answer->intent_id, '\0', sizeof answer->intent_id) != NULL);
    MUST(all_of(answer->code, "abcdefghijklmnopqrstuvwxyz0123456789_"));
    MUST(answer->intent_id[0] == '\0' || stripe_id_valid(answer->intent_id));
}

/* It goes to the buyer inside an event, so it must be JSON, and no more than it should be. */
static void check_action(const struct pay_answer *answer)
{
    if (answer->outcome != PAY_ACTION)
        return;
    MUST(memchr(answer->action, '\0', sizeof answer->action) != NULL);
    if (answer->action[0] == '\0')
        return;
    json_t *action = json_loads(answer->action, JSON_REJECT_DUPLICATES, NULL);
    const char *url = json_string_value(json_object_get(action, "url"));
    const char *secret = json_string_value(json_object_get(action, "client_secret"));
    MUST(json_object_size(action) == 2 && json_is_string(json_object_get(action, "type")));
    MUST((url == NULL) != (secret == NULL));
    MUST(url == NULL || strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
    json_decref(action);
}

/* Read again, without the code under test: a success is one only if the intent says so in full. */
static void check_success(const struct pay_answer *answer, const json_t *intent)
{
    const json_t *amount = json_object_get(intent, "amount");
    const json_t *order = json_object_get(json_object_get(intent, "metadata"), "order_id");
    const char *status = json_string_value(json_object_get(intent, "status"));
    const char *id = json_string_value(json_object_get(intent, "id"));
    MUST(json_is_integer(amount) && json_integer_value(amount) == expected.amount);
    MUST(json_is_string(order) && strcmp(json_string_value(order), expected.order_id) == 0);
    MUST(status != NULL && strcmp(status, "succeeded") == 0);
    MUST(id != NULL && strcmp(id, answer->intent_id) == 0);
}

static void try_charge(unsigned status, const char *body, size_t len)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_charge(status, body, len, &expected, &answer);
    check_answer(&answer);
    check_action(&answer);
    if (answer.outcome != PAY_SUCCEEDED)
        return;
    MUST(status == 200);
    json_t *root = json_loadb(body, len, 0, NULL);
    check_success(&answer, root);
    json_decref(root);
}

static void try_cancel(unsigned status, const char *body, size_t len)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_cancel(status, body, len, "pi_1", &expected, &answer);
    check_answer(&answer);
    if (answer.outcome != PAY_SUCCEEDED && answer.outcome != PAY_CANCELLED)
        return;
    MUST(strcmp(answer.intent_id, "pi_1") == 0 && (status == 200 || status == 400));
    json_t *root = json_loadb(body, len, 0, NULL);
    if (answer.outcome == PAY_SUCCEEDED)
        check_success(&answer, status == 200 ? root
                                             : json_object_get(json_object_get(root, "error"),
                                                               "payment_intent"));
    json_decref(root);
}

static void try_list(unsigned status, const char *body, size_t len)
{
    struct stripe_list list = {0};
    if (stripe_read_list(status, body, len, LIMIT, &list) < 0)
        return;
    MUST(status == 200 && list.count <= LIMIT && (list.count > 0 || !list.has_more));
    for (size_t i = 0; i < list.count; i++) {
        MUST(stripe_id_valid(list.intents[i].id));
        MUST(list.intents[i].state != PAY_INTENT_SUCCEEDED || list.intents[i].received >= 0);
        MUST(strlen(list.intents[i].currency) <= len);
        MUST(list.intents[i].order_id == NULL || strlen(list.intents[i].order_id) <= len);
    }
    stripe_list_free(&list);
}

/* One that gives `amount` of the payment back, or may. */
static json_int_t refunded(const json_t *refund, const char *status)
{
    const char *of = json_string_value(json_object_get(refund, "payment_intent"));
    const char *is = json_string_value(json_object_get(refund, "status"));
    MUST(of != NULL && strcmp(of, "pi_1") == 0 && is != NULL);
    return strcmp(is, status) == 0 ? json_integer_value(json_object_get(refund, "amount")) : 0;
}

static void try_refund(unsigned status, const char *body, size_t len)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_refund(status, body, len, "pi_1", &expected, &answer);
    check_answer(&answer);
    MUST(answer.outcome != PAY_ACTION);
    if (answer.outcome != PAY_SUCCEEDED)
        return;
    MUST(status == 200 && answer.intent_id[0] != '\0');
    json_t *root = json_loadb(body, len, 0, NULL);
    MUST(refunded(root, "succeeded") == expected.amount);
    json_decref(root);
}

/* "It was not given back" makes us ask again under another key: nothing may hide behind it. */
static void try_refunds(unsigned status, const char *body, size_t len)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_refunds(status, body, len, "pi_1", &expected, &answer);
    check_answer(&answer);
    MUST(answer.outcome != PAY_ACTION);
    bool nothing = answer.outcome == PAY_NOT_FOUND || answer.outcome == PAY_FAILED;
    if (answer.outcome != PAY_SUCCEEDED && !nothing)
        return;
    json_t *root = json_loadb(body, len, 0, NULL);
    const json_t *data = json_object_get(root, "data");
    MUST(status == 200 && json_is_array(data) && json_is_false(json_object_get(root, "has_more")));
    json_int_t sum = 0;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *refund = json_array_get(data, i);
        sum += refunded(refund, "succeeded");
        MUST(answer.outcome == PAY_SUCCEEDED || refunded(refund, "pending") == 0);
    }
    MUST(answer.outcome == PAY_SUCCEEDED ? sum >= expected.amount : sum == 0);
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *word;
        void (*try)(unsigned status, const char *body, size_t len);
    } kinds[] = {{"charge", try_charge},
                 {"cancel", try_cancel},
                 {"list", try_list},
                 {"refund", try_refund},
                 {"refunds", try_refunds}};
    const char *text = (const char *)data;
    const char *end = size == 0 ? NULL : memchr(text, '\n', size < HEAD_MAX ? size : HEAD_MAX);
    if (end == NULL)
        return 0;
    char head[HEAD_MAX + 1];
    size_t head_len = (size_t)(end - text);
    memcpy(head, text, head_len);
    head[head_len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t len = strlen(kinds[i].word);
        if (strncmp(head, kinds[i].word, len) != 0 || head[len] != ' ')
            continue;
        unsigned status = (unsigned)strtoul(head + len, NULL, 10);
        /* a copy without anything behind it, so that the sanitizer sees each step too far */
        size_t body_len = size - head_len - 1;
        char *body = malloc(body_len == 0 ? 1 : body_len);
        if (body == NULL)
            return 0;
        memcpy(body, end + 1, body_len);
        kinds[i].try(status, body, body_len);
        free(body);
        return 0;
    }
    return 0;
}
