#include "common/pay/stripe/stripe_answer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static const struct pay_expected expected = {"order-1", 4900, "EUR"};

#define INTENT_OF(id, status, rest)                                                                \
    "{\"id\":\"" id "\",\"object\":\"payment_intent\",\"status\":\"" status "\"" rest "}"
#define OURS ",\"amount\":4900,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-1\"}"
#define INTENT(status) INTENT_OF("pi_1", status, OURS)
#define ERROR(members) "{\"error\":{" members "}}"

static struct pay_answer charge(unsigned status, const char *body)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_charge(status, body, strlen(body), &expected, &answer);
    return answer;
}

static struct pay_answer cancel(unsigned status, const char *body)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    stripe_read_cancel(status, body, strlen(body), "pi_1", &expected, &answer);
    return answer;
}

struct row {
    unsigned long status;
    const char *body;
    enum pay_outcome outcome;
    const char *intent_id;
    const char *code;
};

static const struct row charges[] = {
    /* a success is one only if it says everything that was asked for */
    {200, INTENT("succeeded"), PAY_SUCCEEDED, "pi_1", ""},
    {200, INTENT_OF("pi_1", "succeeded", OURS ",\"amount_received\":4900"), PAY_SUCCEEDED, "pi_1",
     ""},
    {200, INTENT_OF("pi_1", "succeeded", OURS ",\"amount_received\":4899"), PAY_OTHER_SUM, "pi_1",
     "other_amount"},
    {200, INTENT_OF("pi_1", "succeeded", OURS ",\"amount_received\":\"4900\""), PAY_UNKNOWN, "",
     "malformed_answer"},
    {200,
     INTENT_OF("pi_1", "succeeded",
               ",\"amount\":4901,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_OTHER_SUM, "pi_1", "other_amount"},
    {200,
     INTENT_OF("pi_1", "succeeded",
               ",\"amount\":4900.0,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_UNKNOWN, "", "malformed_answer"},
    {200,
     INTENT_OF("pi_1", "succeeded",
               ",\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_UNKNOWN, "", "malformed_answer"},
    {200,
     INTENT_OF("pi_1", "succeeded",
               ",\"amount\":4900,\"currency\":\"usd\",\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_OTHER_SUM, "pi_1", "other_currency"},
    {200,
     INTENT_OF("pi_1", "succeeded", ",\"amount\":4900,\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_UNKNOWN, "", "malformed_answer"},
    {200,
     INTENT_OF("pi_1", "succeeded",
               ",\"amount\":4900,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-2\"}"),
     PAY_UNKNOWN, "", "other_order"},
    {200, INTENT_OF("pi_1", "succeeded", ",\"amount\":4900,\"currency\":\"eur\",\"metadata\":{}"),
     PAY_UNKNOWN, "", "other_order"},
    {200, INTENT_OF("pi_1", "succeeded", ",\"amount\":4900,\"currency\":\"eur\""), PAY_UNKNOWN, "",
     "other_order"},
    {200, INTENT_OF("", "succeeded", OURS), PAY_UNKNOWN, "", "malformed_answer"},
    {200, INTENT_OF("pi/../1", "succeeded", OURS), PAY_UNKNOWN, "", "malformed_answer"},
    {200, "{\"object\":\"payment_intent\",\"status\":\"succeeded\"" OURS "}", PAY_UNKNOWN, "",
     "malformed_answer"},
    {200, "{\"id\":\"pi_1\",\"object\":\"charge\",\"status\":\"succeeded\"" OURS "}", PAY_UNKNOWN,
     "", "malformed_answer"},
    {200, "{\"id\":\"pi_1\",\"object\":\"payment_intent\"" OURS "}", PAY_UNKNOWN, "",
     "malformed_answer"},
    {200, "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"status\":1" OURS "}", PAY_UNKNOWN, "",
     "malformed_answer"},
    /* no answer of ours at all */
    {200, "", PAY_UNKNOWN, "", "malformed_answer"},
    {200, "<html>succeeded</html>", PAY_UNKNOWN, "", "malformed_answer"},
    {200, "[]", PAY_UNKNOWN, "", "malformed_answer"},
    {200, "null", PAY_UNKNOWN, "", "malformed_answer"},
    {200, "{}", PAY_UNKNOWN, "", "malformed_answer"},
    {200, INTENT("succeeded") "}", PAY_UNKNOWN, "", "malformed_answer"},
    {200,
     "{\"status\":\"canceled\"," /* twice: which of them? */
     "\"id\":\"pi_1\",\"object\":\"payment_intent\",\"status\":\"succeeded\"" OURS "}",
     PAY_UNKNOWN, "", "malformed_answer"},
    {200, ERROR("\"type\":\"card_error\""), PAY_UNKNOWN, "", "malformed_answer"},
    /* other states */
    {200, INTENT("requires_action"), PAY_ACTION, "pi_1", "requires_action"},
    {200, INTENT("processing"), PAY_PENDING, "pi_1", "processing"},
    {200, INTENT("requires_capture"), PAY_PENDING, "pi_1", "requires_capture"},
    {200, INTENT("requires_confirmation"), PAY_PENDING, "pi_1", "requires_confirmation"},
    {200, INTENT("requires_payment_method"), PAY_DECLINED, "pi_1", "requires_payment_method"},
    {200, INTENT("canceled"), PAY_CANCELLED, "pi_1", "canceled"},
    {200, INTENT("no such state"), PAY_PENDING, "pi_1", ""},
    {200,
     INTENT_OF("pi_1", "requires_action",
               ",\"amount\":1,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-1\"}"),
     PAY_UNKNOWN, "", "other_amount"},
    /* declines */
    {402,
     ERROR("\"type\":\"card_error\",\"code\":\"card_declined\",\"decline_code\":\"lost_card\""),
     PAY_DECLINED, "", "lost_card"},
    {402, ERROR("\"type\":\"card_error\",\"code\":\"expired_card\""), PAY_DECLINED, "",
     "expired_card"},
    {402, ERROR("\"type\":\"card_error\""), PAY_DECLINED, "", "card_error"},
    {402, ERROR("\"type\":\"card_error\",\"code\":\"not a code\""), PAY_DECLINED, "", "card_error"},
    {402, ERROR("\"type\":\"card_error\",\"code\":\"pm_card_visa\",\"decline_code\":\"pm_1Nq\""),
     PAY_DECLINED, "", "card_error"},
    {402, ERROR("\"type\":\"card_error\",\"code\":\"4a1Bc9\",\"decline_code\":\"sk_test_0\""),
     PAY_DECLINED, "", "card_error"},
    {402, ERROR("\"type\":\"card_error\",\"code\":[]"), PAY_DECLINED, "", "card_error"},
    {402,
     ERROR("\"type\":\"card_error\",\"code\":\"card_declined\",\"payment_intent\":" INTENT(
         "requires_payment_method")),
     PAY_DECLINED, "pi_1", "card_declined"},
    {402,
     ERROR("\"type\":\"card_error\",\"code\":\"card_declined\",\"payment_intent\":" INTENT(
         "succeeded")),
     PAY_UNKNOWN, "", "malformed_answer"},
    {402,
     ERROR("\"type\":\"card_error\",\"payment_intent\":" INTENT_OF(
         "pi_2", "requires_payment_method",
         ",\"amount\":4900,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-2\"}")),
     PAY_UNKNOWN, "", "other_order"},
    /* of the API, without an intent: refused; with one of ours it is a decline, whatever its type
     */
    {402, ERROR("\"type\":\"invalid_request_error\",\"code\":\"x\""), PAY_REFUSED, "", "x"},
    {402,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"payment_method_provider_decline\","
           "\"payment_intent\":" INTENT("requires_payment_method")),
     PAY_DECLINED, "pi_1", "payment_method_provider_decline"},
    {402, ERROR("\"type\":\"invalid_request_error\",\"payment_intent\":" INTENT("processing")),
     PAY_PENDING, "pi_1", "processing"},
    {402, ERROR(""), PAY_UNKNOWN, "", "http_402"},
    {402, "{\"error\":\"card_error\"}", PAY_UNKNOWN, "", "http_402"},
    {402, "declined", PAY_UNKNOWN, "", "http_402"},
    {402, "", PAY_UNKNOWN, "", "http_402"},
    /* the order's own fields */
    {400,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"resource_missing\","
           "\"param\":\"payment_method\""),
     PAY_REFUSED, "", "resource_missing"},
    {400,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"email_invalid\","
           "\"param\":\"receipt_email\""),
     PAY_REFUSED, "", "email_invalid"},
    {400,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"amount_too_large\",\"param\":\"amount\""),
     PAY_REFUSED, "", "amount_too_large"},
    {400, ERROR("\"type\":\"invalid_request_error\",\"code\":\"payment_method_unsupported_type\""),
     PAY_REFUSED, "", "payment_method_unsupported_type"},
    {400,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"payment_method_unexpected_state\","
           "\"param\":\"confirm\""),
     PAY_REFUSED, "", "payment_method_unexpected_state"},
    /* any other refusal of the API: no list of codes decides */
    {400, ERROR("\"type\":\"invalid_request_error\""), PAY_REFUSED, "", "invalid_request_error"},
    {400,
     ERROR("\"type\":\"invalid_request_error\",\"message\":\"The provided PaymentMethod was "
           "previously used\""),
     PAY_REFUSED, "", "invalid_request_error"},
    {400,
     ERROR(
         "\"type\":\"invalid_request_error\",\"code\":\"parameter_missing\",\"param\":\"amount\""),
     PAY_REFUSED, "", "parameter_missing"},
    {404,
     ERROR("\"type\":\"invalid_request_error\",\"code\":\"resource_missing\",\"param\":"
           "\"payment_method\""),
     PAY_REFUSED, "", "resource_missing"},
    {418, ERROR("\"type\":\"no such type\",\"code\":\"teapot\""), PAY_REFUSED, "", "teapot"},
    /* but not what another request under this key would be */
    {400, ERROR("\"type\":\"idempotency_error\""), PAY_KEY_USED, "", "idempotency_error"},
    {400, ERROR("\"type\":\"idempotency_error\",\"param\":\"payment_method\""), PAY_KEY_USED, "",
     "idempotency_error"},
    /* nor what something before the API says */
    {400, ERROR(""), PAY_UNKNOWN, "", "http_400"},
    {400, ERROR("\"code\":\"amount_too_large\""), PAY_UNKNOWN, "", "http_400"},
    {400, "nonsense", PAY_UNKNOWN, "", "http_400"},
    {413, "<html>", PAY_UNKNOWN, "", "http_413"},
    /* the operator's */
    {401, ERROR("\"type\":\"invalid_request_error\""), PAY_UNAUTHORIZED, "",
     "invalid_request_error"},
    {401, "", PAY_UNAUTHORIZED, "", "http_401"},
    {401, ERROR("\"param\":\"payment_method\""), PAY_UNAUTHORIZED, "", "http_401"},
    {403, "", PAY_FORBIDDEN, "", "http_403"},
    /* nothing definite */
    {404, "no such page", PAY_UNKNOWN, "", "http_404"},
    {409, ERROR("\"type\":\"idempotency_error\",\"code\":\"idempotency_key_in_use\""), PAY_UNKNOWN,
     "", "http_409"},
    {429, ERROR("\"code\":\"rate_limit\""), PAY_BUSY, "", "http_429"},
    {500, ERROR("\"type\":\"api_error\""), PAY_ERROR, "", "http_500"},
    {500, INTENT("succeeded"), PAY_UNKNOWN, "", "http_500"},
    {502, "", PAY_UNKNOWN, "", "http_502"},
    {503, "", PAY_UNKNOWN, "", "http_503"},
    {504, ERROR("\"type\":\"card_error\""), PAY_ERROR, "", "http_504"},
    {201, INTENT("succeeded"), PAY_UNKNOWN, "", "http_201"},
    {204, "", PAY_UNKNOWN, "", "http_204"},
    {302, "", PAY_UNKNOWN, "", "http_302"},
    {100, "", PAY_UNKNOWN, "", "http_100"},
    {999, "", PAY_UNKNOWN, "", "http_999"},
    {0, "", PAY_UNKNOWN, "", "http_0"},
};

static void check(const struct row *row, const struct pay_answer *answer)
{
    ck_assert_msg(answer->outcome == row->outcome, "%lu %s: %s (%s), not %s", row->status,
                  row->body, pay_outcome_text(answer->outcome), answer->code,
                  pay_outcome_text(row->outcome));
    ck_assert_str_eq(answer->code, row->code);
    ck_assert_str_eq(answer->intent_id, row->intent_id);
}

START_TEST(a_charge_is_what_its_answer_proves)
{
    struct pay_answer answer = charge((unsigned)charges[_i].status, charges[_i].body);
    check(&charges[_i], &answer);
}
END_TEST

static const struct row cancels[] = {
    {200, INTENT("canceled"), PAY_CANCELLED, "pi_1", "canceled"},
    {200, INTENT("succeeded"), PAY_SUCCEEDED, "pi_1", ""},
    {200, INTENT("processing"), PAY_PENDING, "pi_1", "processing"},
    {200, INTENT("requires_action"), PAY_ACTION, "pi_1", "requires_action"},
    {200, INTENT("requires_payment_method"), PAY_DECLINED, "pi_1", "requires_payment_method"},
    {200, INTENT_OF("pi_2", "canceled", OURS), PAY_UNKNOWN, "", "malformed_answer"},
    {200,
     INTENT_OF("pi_1", "canceled",
               ",\"amount\":4900,\"currency\":\"eur\",\"metadata\":{\"order_id\":\"order-2\"}"),
     PAY_UNKNOWN, "", "other_order"},
    {200, "", PAY_UNKNOWN, "", "malformed_answer"},
    {400,
     ERROR("\"code\":\"payment_intent_unexpected_state\",\"payment_intent\":" INTENT("succeeded")),
     PAY_SUCCEEDED, "pi_1", ""},
    {400,
     ERROR("\"code\":\"payment_intent_unexpected_state\",\"payment_intent\":" INTENT("canceled")),
     PAY_CANCELLED, "pi_1", "canceled"},
    {400, ERROR("\"payment_intent\":" INTENT_OF("pi_2", "canceled", OURS)), PAY_UNKNOWN, "",
     "malformed_answer"},
    {400, ERROR("\"code\":\"payment_intent_unexpected_state\""), PAY_UNKNOWN, "", "http_400"},
    {400, ERROR("\"payment_intent\":\"pi_1\""), PAY_UNKNOWN, "", "http_400"},
    {401, "", PAY_UNAUTHORIZED, "", "http_401"},
    {403, ERROR("\"code\":\"no_rights\""), PAY_FORBIDDEN, "", "no_rights"},
    {404, ERROR("\"code\":\"resource_missing\""), PAY_UNKNOWN, "", "http_404"},
    {404, ERROR("\"type\":\"invalid_request_error\""), PAY_REFUSED, "", "invalid_request_error"},
    {402, ERROR("\"type\":\"card_error\""), PAY_REFUSED, "", "card_error"},
    {429, "", PAY_BUSY, "", "http_429"},
    {500, INTENT("canceled"), PAY_UNKNOWN, "", "http_500"},
};

START_TEST(a_cancel_tells_the_state_of_its_intent)
{
    struct pay_answer answer = cancel((unsigned)cancels[_i].status, cancels[_i].body);
    check(&cancels[_i], &answer);
}
END_TEST

static const struct {
    const char *members;
    enum pay_problem problem;
    const char *param;
} problems[] = {
    {"\"code\":\"amount_too_small\",\"param\":\"amount\"", PAY_WRONG_AMOUNT, "amount"},
    {"\"code\":\"amount_too_large\"", PAY_WRONG_AMOUNT, ""},
    {"\"param\":\"currency\"", PAY_WRONG_CURRENCY, "currency"},
    {"\"code\":\"resource_missing\",\"param\":\"payment_method\"", PAY_USE_ANOTHER_METHOD,
     "payment_method"},
    {"\"code\":\"email_invalid\",\"param\":\"receipt_email\"", PAY_TRY_AGAIN, "receipt_email"},
    {"\"message\":\"was previously used\"", PAY_USE_ANOTHER_METHOD, ""},
    {"\"param\":\"no field\"", PAY_TRY_AGAIN, ""},
};

START_TEST(a_refusal_says_what_the_buyer_can_do)
{
    char body[256];
    (void)snprintf(body, sizeof body, ERROR("\"type\":\"invalid_request_error\",%s"),
                   problems[_i].members);
    struct pay_answer answer = charge(400, body);
    ck_assert_int_eq(answer.outcome, PAY_REFUSED);
    ck_assert_int_eq(answer.problem, problems[_i].problem);
    ck_assert_str_eq(answer.param, problems[_i].param);
}
END_TEST

START_TEST(every_cut_of_a_success_is_unknown)
{
    static const char body[] = INTENT("succeeded");
    struct pay_answer answer;
    for (size_t len = 0; len < sizeof body - 1; len++) {
        stripe_read_charge(200, body, len, &expected, &answer);
        ck_assert_int_eq(answer.outcome, PAY_UNKNOWN);
    }
    stripe_read_charge(200, body, sizeof body - 1, &expected, &answer);
    ck_assert_int_eq(answer.outcome, PAY_SUCCEEDED);
}
END_TEST

START_TEST(every_changed_byte_of_a_success_is_no_other_success)
{
    char body[] = INTENT("succeeded");
    for (size_t i = 0; i < sizeof body - 1; i++) {
        char kept = body[i];
        for (int c = 0; c < 256; c++) {
            body[i] = (char)c;
            struct pay_answer answer;
            stripe_read_charge(200, body, sizeof body - 1, &expected, &answer);
            /* what is left to say: another id, or the currency in another case */
            bool harmless = answer.outcome != PAY_SUCCEEDED || body[i] == kept ||
                            strncmp(answer.intent_id, "pi_1", 4) != 0 ||
                            strncasecmp(&body[i], &kept, 1) == 0;
            ck_assert_msg(harmless, "byte %zu as %d makes %s", i, c, body);
        }
        body[i] = kept;
    }
}
END_TEST

START_TEST(a_long_id_or_code_is_not_cut_but_refused)
{
    char body[1024];
    char id[PAY_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    id[PAY_ID_MAX + 1] = '\0';
    ck_assert(!stripe_id_valid(id));
    (void)snprintf(body, sizeof body,
                   "{\"id\":\"%s\",\"object\":\"payment_intent\",\"status\":\"succeeded\"" OURS "}",
                   id);
    struct pay_answer answer = charge(200, body);
    ck_assert_int_eq(answer.outcome, PAY_UNKNOWN);
    (void)snprintf(body, sizeof body, ERROR("\"type\":\"card_error\",\"code\":\"%s\""), id);
    answer = charge(402, body);
    ck_assert_int_eq(answer.outcome, PAY_DECLINED);
    ck_assert_str_eq(answer.code, "card_error");
    id[PAY_ID_MAX] = '\0';
    ck_assert(stripe_id_valid(id));
}
END_TEST

START_TEST(deep_nesting_is_survived)
{
    size_t len = 200000;
    char *body = malloc(len + 1);
    ck_assert_ptr_nonnull(body);
    memset(body, '[', len);
    body[len] = '\0';
    struct pay_answer answer = charge(200, body);
    ck_assert_int_eq(answer.outcome, PAY_UNKNOWN);
    free(body);
}
END_TEST

/* ---- lists ---- */

#define LIST(data, more) "{\"object\":\"list\",\"data\":[" data "],\"has_more\":" more "}"
#define ITEM                                                                                       \
    "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"status\":\"succeeded\",\"amount\":4900,"     \
    "\"currency\":\"eur\",\"created\":1700000000,\"metadata\":{\"order_id\":\"order-1\"}}"
#define FOREIGN                                                                                    \
    "{\"id\":\"pi_2\",\"object\":\"payment_intent\",\"status\":\"canceled\",\"amount\":1,"         \
    "\"currency\":\"usd\",\"created\":1,\"metadata\":{}}"

static int list(unsigned status, const char *body, struct stripe_list *ret_list)
{
    return stripe_read_list(status, body, strlen(body), 2, ret_list);
}

START_TEST(a_list_is_read_whole)
{
    struct stripe_list page;
    ck_assert_int_eq(list(200, LIST(ITEM "," FOREIGN, "true"), &page), 0);
    ck_assert_uint_eq(page.count, 2);
    ck_assert(page.has_more);
    ck_assert_str_eq(page.intents[0].id, "pi_1");
    ck_assert_str_eq(page.intents[0].order_id, "order-1");
    ck_assert_int_eq(page.intents[0].state, PAY_INTENT_SUCCEEDED);
    ck_assert_int_eq(page.intents[0].received, 4900);
    ck_assert_int_eq(page.intents[1].state, PAY_INTENT_CANCELLED);
    ck_assert_str_eq(page.intents[0].currency, "eur");
    ck_assert_int_eq(page.intents[0].amount, 4900);
    ck_assert_int_eq(page.intents[0].created_s, 1700000000);
    ck_assert_ptr_null(page.intents[1].order_id);
    stripe_list_free(&page);
    ck_assert_int_eq(list(200, LIST("", "false"), &page), 0);
    ck_assert_uint_eq(page.count, 0);
    ck_assert(!page.has_more);
    stripe_list_free(&page);
}
END_TEST

static const struct {
    unsigned long status;
    const char *body;
    int code;
} bad_lists[] = {
    {401, "", ERR_AUTH},
    {403, "", ERR_AUTH},
    {429, "", ERR_UNAVAILABLE},
    {500, LIST(ITEM, "false"), ERR_UNAVAILABLE},
    {503, "", ERR_UNAVAILABLE},
    {404, "", ERR_REFUSED},
    {400, "", ERR_REFUSED},
    {302, "", ERR_REFUSED},
    {200, "", ERR_PARSE},
    {200, "[]", ERR_PARSE},
    {200, "{}", ERR_PARSE},
    {200, LIST("", "true"), ERR_PARSE}, /* would be asked for for ever */
    {200, LIST(ITEM, "1"), ERR_PARSE},
    {200, LIST(ITEM "," ITEM "," ITEM, "false"), ERR_PARSE}, /* more than was asked for */
    {200, LIST("{}", "false"), ERR_PARSE},
    {200, LIST("1", "false"), ERR_PARSE},
    {200, LIST(ITEM ",{\"id\":\"pi_3\"}", "false"), ERR_PARSE},
    {200, "{\"object\":\"list\",\"has_more\":false}", ERR_PARSE},
    {200, "{\"object\":\"list\",\"data\":{},\"has_more\":false}", ERR_PARSE},
    {200, "{\"object\":\"page\",\"data\":[],\"has_more\":false}", ERR_PARSE},
    {200, "{\"object\":\"list\",\"data\":[]}", ERR_PARSE},
};

START_TEST(a_list_that_is_none_is_an_error)
{
    struct stripe_list page = {.count = 77};
    ck_assert_int_eq(list((unsigned)bad_lists[_i].status, bad_lists[_i].body, &page),
                     bad_lists[_i].code);
    ck_assert_uint_eq(page.count, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pay_answer");
    TCase *tcase = tcase_create("pay_answer");
    tcase_add_loop_test(tcase, a_charge_is_what_its_answer_proves, 0,
                        (int)(sizeof charges / sizeof charges[0]));
    tcase_add_loop_test(tcase, a_cancel_tells_the_state_of_its_intent, 0,
                        (int)(sizeof cancels / sizeof cancels[0]));
    tcase_add_loop_test(tcase, a_refusal_says_what_the_buyer_can_do, 0,
                        (int)(sizeof problems / sizeof problems[0]));
    tcase_add_test(tcase, every_cut_of_a_success_is_unknown);
    tcase_add_test(tcase, every_changed_byte_of_a_success_is_no_other_success);
    tcase_add_test(tcase, a_long_id_or_code_is_not_cut_but_refused);
    tcase_add_test(tcase, deep_nesting_is_survived);
    tcase_add_test(tcase, a_list_is_read_whole);
    tcase_add_loop_test(tcase, a_list_that_is_none_is_an_error, 0,
                        (int)(sizeof bad_lists / sizeof bad_lists[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
