#include "consumer/gateway/traced_pay.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "tests/fake/fake_gateway.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
#define ORDER "5b1c9a70-3f0e-8a2b-9c4d-0e1f2a3b4c5d"

static struct span place; /* of the newest span that has ended */
static unsigned ended;
static unsigned answers;
static struct pay *traced;

static struct span *add(void *arg)
{
    (void)arg;
    ended++;
    place = (struct span){0};
    return &place;
}

static struct spans spans = {.millionths = 1000000, .add = add};

static void setup(void)
{
    fake_gateway_reset();
    ended = answers = 0;
    traced = traced_pay_new(&fake_gateway.pay, &spans);
    ck_assert_ptr_nonnull(traced);
}

static void teardown(void)
{
    pay_free(traced);
}

static void heard(const struct pay_answer *answer, void *arg)
{
    ck_assert_int_eq(answer->outcome, PAY_DECLINED);
    ck_assert_ptr_eq(arg, &answers);
    answers++;
}

static int call(const char *verb, const char *trace)
{
    const struct pay_charge charge = {
        .order_id = ORDER, .idempotency_key = "key", .traceparent = trace};
    const struct pay_refund refund = {
        .order_id = ORDER, .idempotency_key = "key", .intent_id = "pi_1", .traceparent = trace};
    if (strcmp(verb, "charge") == 0)
        return pay_charge(traced, &charge, heard, &answers);
    if (strcmp(verb, "get") == 0)
        return pay_get(traced, &charge, "pi_1", heard, &answers);
    if (strcmp(verb, "cancel") == 0)
        return pay_cancel(traced, &charge, "pi_1", heard, &answers);
    if (strcmp(verb, "refund") == 0)
        return pay_refund(traced, &refund, heard, &answers);
    return pay_find_refund(traced, &refund, heard, &answers);
}

static const char *const verbs[] = {"charge", "get", "cancel", "refund", "find"};

START_TEST(each_call_is_made_under_its_span_and_answered_once)
{
    static const struct pay_answer declined = {.outcome = PAY_DECLINED, .http_status = 402};
    ck_assert_int_eq(call(verbs[_i], TRACE), 0);
    ck_assert_uint_eq(pay_inflight(traced), 1);
    struct fake_call *made = fake_gateway_open();
    ck_assert_str_eq(made->verb, verbs[_i]);
    ck_assert_str_eq(made->order_id, ORDER);
    ck_assert(strncmp(made->traceparent, TRACE, 36) == 0);
    ck_assert(strncmp(made->traceparent + 36, &TRACE[36], 16) != 0);
    ck_assert_str_eq(made->traceparent + 52, "-01");
    ck_assert_uint_eq(ended, 0);
    fake_gateway_answer(made, &declined);
    ck_assert_uint_eq(answers, 1);
    ck_assert_uint_eq(ended, 1);
    ck_assert_str_eq(place.order_id, ORDER);
    ck_assert_int_eq(place.kind, SPAN_CLIENT);
    ck_assert(!place.failed); /* the gateway did what it should */
}
END_TEST

START_TEST(a_call_without_a_trace_passes_as_it_is)
{
    static const struct pay_answer declined = {.outcome = PAY_DECLINED};
    ck_assert_int_eq(call(verbs[_i], ""), 0);
    ck_assert_str_eq(fake_gateway_open()->traceparent, "");
    fake_gateway_answer(fake_gateway_open(), &declined);
    ck_assert_uint_eq(answers, 1);
    ck_assert_uint_eq(ended, 0);
}
END_TEST

START_TEST(a_call_that_is_not_made_has_no_span)
{
    fake_gateway.refuse = ERR_FULL;
    ck_assert_int_eq(call(verbs[_i], TRACE), ERR_FULL);
    ck_assert_uint_eq(ended, 0);
    ck_assert_uint_eq(answers, 0);
}
END_TEST

START_TEST(calls_in_flight_end_with_it_unheard)
{
    ck_assert_int_eq(call(verbs[_i], TRACE), 0);
}
END_TEST

START_TEST(without_spans_it_is_the_gateway_itself)
{
    ck_assert_ptr_eq(traced_pay_new(&fake_gateway.pay, NULL), &fake_gateway.pay);
    ck_assert_ptr_null(traced_pay_new(NULL, &spans));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("traced_pay");
    TCase *tcase = tcase_create("traced_pay");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, each_call_is_made_under_its_span_and_answered_once, 0, 5);
    tcase_add_loop_test(tcase, a_call_without_a_trace_passes_as_it_is, 0, 5);
    tcase_add_loop_test(tcase, a_call_that_is_not_made_has_no_span, 0, 5);
    tcase_add_loop_test(tcase, calls_in_flight_end_with_it_unheard, 0, 5);
    tcase_add_test(tcase, without_spans_it_is_the_gateway_itself);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
