#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/pay/stripe/stripe_answer.h"

static const struct pay_expected expected = {"order-1", 4900, "EUR"};

#define REFUND_OF(id, intent, amount, status)                                                      \
    "{\"id\":\"" id "\",\"object\":\"refund\",\"payment_intent\":\"" intent                        \
    "\",\"amount\":" amount ",\"currency\":\"eur\",\"status\":\"" status "\"}"
#define REFUND(status) REFUND_OF("re_1", "pi_1", "4900", status)
#define LIST(items) "{\"object\":\"list\",\"has_more\":false,\"data\":[" items "]}"
#define ERROR(members) "{\"error\":{\"type\":\"invalid_request_error\"," members "}}"

struct row {
    unsigned long status;
    const char *body;
    enum pay_outcome outcome;
    const char *id;
    const char *code;
};

static void check(const struct row *row, const struct pay_answer *answer)
{
    ck_assert_msg(answer->outcome == row->outcome, "%lu %s: %s (%s), not %s", row->status,
                  row->body, pay_outcome_text(answer->outcome), answer->code,
                  pay_outcome_text(row->outcome));
    ck_assert_str_eq(answer->code, row->code);
    ck_assert_str_eq(answer->intent_id, row->id);
}

static const struct row refunds[] = {
    {200, REFUND("succeeded"), PAY_SUCCEEDED, "re_1", ""},
    {200, REFUND("pending"), PAY_PENDING, "re_1", "pending"},
    {200, REFUND("requires_action"), PAY_PENDING, "re_1", "pending"},
    {200, REFUND("failed"), PAY_FAILED, "re_1", "failed"},
    {200, REFUND("canceled"), PAY_FAILED, "re_1", "failed"},
    {200, REFUND_OF("re_1", "pi_2", "4900", "succeeded"), PAY_UNKNOWN, "", "other_payment"},
    {200, REFUND_OF("re_1", "pi_1", "4901", "succeeded"), PAY_UNKNOWN, "", "other_amount"},
    {200, REFUND_OF("re_1", "pi_1", "4899", "succeeded"), PAY_OTHER_SUM, "", "other_amount"},
    {200, REFUND_OF("re_1", "pi_1", "\"4900\"", "succeeded"), PAY_UNKNOWN, "", "other_amount"},
    {200, REFUND_OF("", "pi_1", "4900", "succeeded"), PAY_UNKNOWN, "", "malformed_answer"},
    {200, "{\"object\":\"payment_intent\"}", PAY_UNKNOWN, "", "malformed_answer"},
    {200, "<html>", PAY_UNKNOWN, "", "malformed_answer"},
    {400, ERROR("\"code\":\"charge_already_refunded\""), PAY_ALREADY, "",
     "charge_already_refunded"},
    {400, ERROR("\"code\":\"charge_disputed\""), PAY_REFUSED, "", "charge_disputed"},
    {400, ERROR("\"code\":\"resource_missing\",\"param\":\"payment_intent\""), PAY_REFUSED, "",
     "resource_missing"},
    /* what would be about an order's card is here no fault of the payment's */
    {400, ERROR("\"code\":\"parameter_unknown\",\"param\":\"payment_method\""), PAY_REFUSED_NOW, "",
     "parameter_unknown"},
    {400, "{\"error\":{\"type\":\"idempotency_error\"}}", PAY_KEY_USED, "", "idempotency_error"},
    {401, ERROR("\"code\":\"api_key_expired\""), PAY_UNAUTHORIZED, "", "api_key_expired"},
    {403, "", PAY_FORBIDDEN, "", "http_403"},
    {404, "Not Found", PAY_UNKNOWN, "", "http_404"},
    {409, ERROR("\"code\":\"lock_timeout\""), PAY_UNKNOWN, "", "http_409"},
    /* without balance: another day */
    {400, ERROR("\"message_code\":\"insufficient_balance_for_refund\""), PAY_REFUSED_NOW, "",
     "insufficient_balance_for_refund"},
    {429, "", PAY_BUSY, "", "http_429"},
    {500, "{\"error\":{\"type\":\"api_error\"}}", PAY_ERROR, "", "http_500"},
};

START_TEST(a_refund_is_what_its_answer_proves)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    const struct row *row = &refunds[_i];
    stripe_read_refund((unsigned)row->status, row->body, strlen(row->body), "pi_1", &expected,
                       &answer);
    check(row, &answer);
}
END_TEST

static const struct row lists[] = {
    {200, LIST(""), PAY_NOT_FOUND, "", "not_found"},
    {200, LIST(REFUND("succeeded")), PAY_SUCCEEDED, "re_1", ""},
    {200, LIST(REFUND("failed")), PAY_FAILED, "", "failed"},
    {200, LIST(REFUND("failed") "," REFUND("pending")), PAY_PENDING, "", "pending"},
    {200, LIST(REFUND("succeeded") "," REFUND("failed")), PAY_SUCCEEDED, "re_1", ""},
    /* by hand, in parts */
    {200,
     LIST(REFUND_OF("re_1", "pi_1", "900", "succeeded") "," REFUND_OF("re_2", "pi_1", "4000",
                                                                      "succeeded")),
     PAY_SUCCEEDED, "re_2", ""},
    {200, LIST(REFUND_OF("re_1", "pi_1", "900", "succeeded")), PAY_OTHER_SUM, "re_1",
     "partly_refunded"},
    {200, LIST(REFUND_OF("re_1", "pi_2", "4900", "succeeded")), PAY_UNKNOWN, "", "other_payment"},
    {200, LIST("1"), PAY_UNKNOWN, "", "malformed_answer"},
    {200, "{\"object\":\"list\",\"has_more\":true,\"data\":[]}", PAY_UNKNOWN, "",
     "malformed_answer"},
    {200, "[]", PAY_UNKNOWN, "", "malformed_answer"},
    {401, "", PAY_UNAUTHORIZED, "", "http_401"},
    {404, "", PAY_UNKNOWN, "", "http_404"},
    {500, "", PAY_UNKNOWN, "", "http_500"},
};

START_TEST(a_list_of_refunds_is_added_up)
{
    struct pay_answer answer;
    memset(&answer, 0x5a, sizeof answer);
    const struct row *row = &lists[_i];
    stripe_read_refunds((unsigned)row->status, row->body, strlen(row->body), "pi_1", &expected,
                        &answer);
    check(row, &answer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pay_refund");
    TCase *tcase = tcase_create("pay_refund");
    tcase_add_loop_test(tcase, a_refund_is_what_its_answer_proves, 0,
                        (int)(sizeof refunds / sizeof refunds[0]));
    tcase_add_loop_test(tcase, a_list_of_refunds_is_added_up, 0,
                        (int)(sizeof lists / sizeof lists[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
