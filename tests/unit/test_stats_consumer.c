#include "consumer/stats.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 2

static struct metrics *metrics;
static struct stats stats;
static struct buf out;

static void set_up(void)
{
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    buf_init(&out, 65536);
}

static void tear_down(void)
{
    stats_free(&stats);
    metrics_free(metrics);
    buf_free(&out);
}

static const char *rendered(void)
{
    buf_reset(&out);
    ck_assert_int_eq(metrics_render(metrics, &out), 0);
    return buf_text(&out);
}

static void expect(const char *line)
{
    ck_assert_msg(strstr(rendered(), line) != NULL, "no \"%s\" in\n%s", line, buf_text(&out));
}

START_TEST(labelled_series_are_there_before_their_first_event)
{
    expect("checkout_order_transitions_total{status=\"confirmed\",reason=\"\"} 0\n");
    expect("checkout_order_transitions_total{status=\"rejected\",reason=\"sold_out\"} 0\n");
    expect("checkout_order_transitions_total{status=\"rejected\",reason=\"invalid\"} 0\n");
    expect("checkout_commands_total{state=\"refused\"} 0\n");
    expect("checkout_payments_total{outcome=\"succeeded\"} 0\n");
    expect("checkout_payments_total{outcome=\"not_found\"} 0\n");
    expect("checkout_refunds_total{outcome=\"succeeded\"} 0\n");
}
END_TEST

START_TEST(an_event_counts_in_the_series_that_is_there)
{
    stats_transition(&stats, "rejected", "sold_out", 3);
    stats_transition(&stats, "confirmed", NULL, 2);
    expect("checkout_order_transitions_total{status=\"rejected\",reason=\"sold_out\"} 3\n");
    expect("checkout_order_transitions_total{status=\"confirmed\",reason=\"\"} 2\n");
}
END_TEST

/* The lines of the family; what else is rendered, such as CPU seconds, changes by itself. */
static size_t transition_lines(void)
{
    size_t lines = 0;
    for (const char *at = rendered();
         (at = strstr(at, "\ncheckout_order_transitions_total{")) != NULL; at++)
        lines++;
    return lines;
}

START_TEST(a_transition_without_a_known_state_makes_no_series)
{
    size_t before = transition_lines();
    ck_assert_uint_gt(before, 0);
    stats_transition(&stats, NULL, NULL, 0);
    stats_transition(&stats, "", "", 1);
    stats_transition(&stats, "sleeping", NULL, 1);
    ck_assert_uint_eq(transition_lines(), before);
    ck_assert_ptr_null(strstr(buf_text(&out), "null"));
}
END_TEST

START_TEST(an_event_counts_its_buyers_time_and_money)
{
    stats_event(&stats, &(struct stats_event){1, "reserved", 40, "usd", 1999});
    expect("checkout_decision_seconds_count 1\n");
    expect("checkout_decision_seconds_sum 0.04\n");
    expect("checkout_outcome_seconds_count{status=\"confirmed\"} 0\n");
    expect("checkout_money_confirmed_total{currency=\"usd\"} 0\n");
    stats_event(&stats, &(struct stats_event){2, "confirmed", 900, "usd", 1999});
    stats_event(&stats, &(struct stats_event){3, "refunded", 5000, "usd", 1999});
    stats_event(&stats, &(struct stats_event){1, "rejected", 50, NULL, 0});
    expect("checkout_decision_seconds_count 2\n");
    expect("checkout_outcome_seconds_sum{status=\"confirmed\"} 0.9\n");
    expect("checkout_outcome_seconds_count{status=\"rejected\"} 1\n");
    expect("checkout_money_confirmed_total{currency=\"usd\"} 19.99\n");
    expect("checkout_money_refunded_total{currency=\"usd\"} 19.99\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("consumer/stats");
    TCase *tests = tcase_create("stats");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, labelled_series_are_there_before_their_first_event);
    tcase_add_test(tests, an_event_counts_in_the_series_that_is_there);
    tcase_add_test(tests, a_transition_without_a_known_state_makes_no_series);
    tcase_add_test(tests, an_event_counts_its_buyers_time_and_money);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
