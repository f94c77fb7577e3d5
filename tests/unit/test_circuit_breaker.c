#include "consumer/gateway/circuit_breaker.h"

#include <check.h>
#include <stdlib.h>

static struct circuit_breaker gate;
static uint64_t now;

static void setup(void)
{
    gate = (struct circuit_breaker){.state = CIRCUIT_BREAKER_OPEN};
    now = 1000000;
}

static void answers(enum circuit_breaker_news news, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        circuit_breaker_answer(&gate, news, NULL, false, now);
}

static void shut(void)
{
    answers(CIRCUIT_BREAKER_REFUSED_US, 1);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
}

static void probe(enum circuit_breaker_news news)
{
    now += circuit_breaker_wait_ms(&gate, now);
    ck_assert(circuit_breaker_lets(&gate, now));
    ck_assert(circuit_breaker_call(&gate));
    ck_assert(!circuit_breaker_lets(&gate, now));
    ck_assert_uint_eq(circuit_breaker_wait_ms(&gate, now), 0);
    circuit_breaker_answer(&gate, news, NULL, true, now);
}

START_TEST(an_open_gate_lets_everybody_pass)
{
    ck_assert(circuit_breaker_lets(&gate, now));
    ck_assert(!circuit_breaker_call(&gate));
    ck_assert(circuit_breaker_lets(&gate, now));
    ck_assert_ptr_null(circuit_breaker_text(&gate));
}
END_TEST

START_TEST(a_refused_key_shuts_it_at_once)
{
    answers(CIRCUIT_BREAKER_DEFINITE, 5);
    shut();
    ck_assert_str_eq(circuit_breaker_text(&gate), "misconfigured");
    ck_assert(!circuit_breaker_lets(&gate, now));
}
END_TEST

static void refuse(uint64_t customer, uint64_t method, uint64_t how, bool is_probe)
{
    const struct circuit_breaker_refusal refusal = {customer, method, how};
    circuit_breaker_answer(&gate, CIRCUIT_BREAKER_REFUSED_ORDER, &refusal, is_probe, now);
}

START_TEST(three_refused_alike_of_different_customers_and_methods_shut_it)
{
    refuse(1, 1, 7, false);
    refuse(2, 2, 7, false);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    refuse(3, 3, 7, false);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
    now += 200;
    ck_assert(circuit_breaker_call(&gate));
    refuse(4, 4, 7, true);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
    probe(CIRCUIT_BREAKER_DEFINITE);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    refuse(5, 5, 7, false);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
}
END_TEST

START_TEST(others_refused_do_not)
{
    for (uint64_t i = 0; i < 10; i++) {
        refuse(1, i, 7, false); /* one customer */
        refuse(i, 1, 7, false); /* one method */
    }
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    setup();
    for (uint64_t i = 1; i < 10; i++)
        refuse(i, i, i, false); /* each in its own way */
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    setup();
    for (uint64_t i = 1; i < 10; i++) { /* and others are served */
        refuse(i, i, 7, false);
        if (i % 2 == 0)
            answers(CIRCUIT_BREAKER_DEFINITE, 1);
    }
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
}
END_TEST

START_TEST(a_suspicion_makes_the_next_call_a_probe_and_stops_nothing)
{
    circuit_breaker_suspect(&gate, now);
    ck_assert_ptr_null(circuit_breaker_text(&gate));
    ck_assert(circuit_breaker_lets(&gate, now));
    ck_assert(circuit_breaker_call(&gate));
    ck_assert(!circuit_breaker_lets(&gate, now));
    circuit_breaker_answer(&gate, CIRCUIT_BREAKER_DEFINITE, NULL, true, now);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    circuit_breaker_suspect(&gate, now);
    probe(CIRCUIT_BREAKER_REFUSED_US);
    ck_assert_str_eq(circuit_breaker_text(&gate), "misconfigured");
}
END_TEST

START_TEST(too_many_requests_shut_nothing)
{
    answers(CIRCUIT_BREAKER_NOTHING, 1000);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    shut();
    probe(CIRCUIT_BREAKER_NOTHING);
    ck_assert_uint_gt(circuit_breaker_wait_ms(&gate, now), 100);
}
END_TEST

START_TEST(probes_go_one_at_a_time_and_ever_less_often)
{
    shut();
    uint32_t wait = 0;
    for (int i = 0; i < 12; i++) {
        ck_assert_uint_ge(circuit_breaker_wait_ms(&gate, now), wait);
        wait = circuit_breaker_wait_ms(&gate, now);
        probe(i % 2 == 0 ? CIRCUIT_BREAKER_FAILED : CIRCUIT_BREAKER_REFUSED_US);
        ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
    }
    ck_assert_uint_eq(wait, 5000);
    probe(CIRCUIT_BREAKER_DEFINITE);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    ck_assert(circuit_breaker_lets(&gate, now));
}
END_TEST

START_TEST(an_answer_to_an_older_call_opens_nothing)
{
    shut();
    answers(CIRCUIT_BREAKER_DEFINITE, 100);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
    answers(CIRCUIT_BREAKER_REFUSED_US, 100);
    ck_assert_uint_le(circuit_breaker_wait_ms(&gate, now), 100);
}
END_TEST

START_TEST(many_failures_among_the_newest_shut_it)
{
    for (int i = 0; i < 1000; i++)
        answers(i % 3 == 0 ? CIRCUIT_BREAKER_DEFINITE : CIRCUIT_BREAKER_FAILED, 1);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN); /* two of three is not mostly */
    answers(CIRCUIT_BREAKER_FAILED, 32);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_FAILING);
    ck_assert_str_eq(circuit_breaker_text(&gate), "failing");
    probe(CIRCUIT_BREAKER_DEFINITE);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    answers(CIRCUIT_BREAKER_FAILED, 25); /* what was before does not count any more */
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
}
END_TEST

START_TEST(a_few_failures_shut_it_only_if_they_last)
{
    answers(CIRCUIT_BREAKER_FAILED, 10);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    now += 4999;
    answers(CIRCUIT_BREAKER_FAILED, 1);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    now += 1;
    answers(CIRCUIT_BREAKER_FAILED, 1);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_FAILING);
    setup();
    for (int i = 0; i < 20; i++) { /* an answer between them starts the time afresh */
        answers(CIRCUIT_BREAKER_FAILED, 3);
        now += 6000;
        answers(CIRCUIT_BREAKER_DEFINITE, 1);
    }
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
}
END_TEST

START_TEST(a_result_of_earlier_tells_nothing_and_the_next_may_probe_at_once)
{
    answers(CIRCUIT_BREAKER_OLD, 100);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_OPEN);
    shut();
    probe(CIRCUIT_BREAKER_FAILED);
    probe(CIRCUIT_BREAKER_OLD);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
    ck_assert_uint_eq(circuit_breaker_wait_ms(&gate, now), 0);
    ck_assert(circuit_breaker_lets(&gate, now));
    ck_assert(circuit_breaker_call(&gate));
    answers(CIRCUIT_BREAKER_OLD, 1); /* of another call */
    ck_assert(!circuit_breaker_lets(&gate, now));
}
END_TEST

START_TEST(a_failing_gateway_that_refuses_us_is_misconfigured)
{
    answers(CIRCUIT_BREAKER_FAILED, 32);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_FAILING);
    probe(CIRCUIT_BREAKER_REFUSED_US);
    ck_assert_int_eq(gate.state, CIRCUIT_BREAKER_MISCONFIGURED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("circuit_breaker");
    TCase *tcase = tcase_create("circuit_breaker");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, an_open_gate_lets_everybody_pass);
    tcase_add_test(tcase, a_refused_key_shuts_it_at_once);
    tcase_add_test(tcase, three_refused_alike_of_different_customers_and_methods_shut_it);
    tcase_add_test(tcase, others_refused_do_not);
    tcase_add_test(tcase, a_suspicion_makes_the_next_call_a_probe_and_stops_nothing);
    tcase_add_test(tcase, too_many_requests_shut_nothing);
    tcase_add_test(tcase, probes_go_one_at_a_time_and_ever_less_often);
    tcase_add_test(tcase, an_answer_to_an_older_call_opens_nothing);
    tcase_add_test(tcase, many_failures_among_the_newest_shut_it);
    tcase_add_test(tcase, a_few_failures_shut_it_only_if_they_last);
    tcase_add_test(tcase, a_result_of_earlier_tells_nothing_and_the_next_may_probe_at_once);
    tcase_add_test(tcase, a_failing_gateway_that_refuses_us_is_misconfigured);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
