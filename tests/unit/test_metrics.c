#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"

static struct metrics *metrics;
static struct buf out;

static void set_up(void)
{
    metrics = metrics_new();
    ck_assert_ptr_nonnull(metrics);
    buf_init(&out, 65536);
}

static void tear_down(void)
{
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

START_TEST(a_counter_adds_up)
{
    struct metric *orders = metrics_counter(metrics, "checkout_orders_total", "Orders.", NULL);
    expect("# HELP checkout_orders_total Orders.\n# TYPE checkout_orders_total counter\n"
           "checkout_orders_total 0\n");
    metric_add(orders, 1);
    metric_add(orders, 2);
    expect("\ncheckout_orders_total 3\n");
}
END_TEST

START_TEST(large_counters_stay_exact)
{
    struct metric *orders = metrics_counter(metrics, "checkout_orders_total", "Orders.", NULL);
    metric_add(orders, 1234567890123);
    expect("checkout_orders_total 1234567890123\n");
}
END_TEST

START_TEST(series_of_one_name_share_their_head)
{
    metric_add(metrics_counter(metrics, "checkout_refused_total", "Refused.", "reason=\"full\""),
               1);
    metric_add(metrics_counter(metrics, "checkout_other_total", "Other.", NULL), 1);
    metric_add(metrics_counter(metrics, "checkout_refused_total", "Refused.", "reason=\"down\""),
               2);
    expect("# TYPE checkout_refused_total counter\n"
           "checkout_refused_total{reason=\"full\"} 1\n"
           "checkout_refused_total{reason=\"down\"} 2\n");
}
END_TEST

START_TEST(the_same_series_twice_is_one)
{
    struct metric *first = metrics_gauge(metrics, "checkout_up", "Up.", "peer=\"db\"");
    ck_assert_ptr_eq(metrics_gauge(metrics, "checkout_up", "Up.", "peer=\"db\""), first);
}
END_TEST

START_TEST(one_name_has_one_kind)
{
    ck_assert_ptr_nonnull(metrics_gauge(metrics, "checkout_up", "Up.", NULL));
    ck_assert_ptr_null(metrics_counter(metrics, "checkout_up", "Up.", "a=\"b\""));
}
END_TEST

START_TEST(a_gauge_takes_fractions_and_negatives)
{
    struct metric *gauge = metrics_gauge(metrics, "checkout_skew", "Skew.", NULL);
    metric_set(gauge, -0.25);
    expect("checkout_skew -0.25\n");
}
END_TEST

START_TEST(a_histogram_cumulates)
{
    struct metric *h = metrics_histogram(metrics, "checkout_wait_seconds", "Wait.", "step=\"db\"");
    metric_observe(h, 0.0001);
    metric_observe(h, 0.0005); /* on a bound: belongs below it */
    metric_observe(h, 0.02);
    metric_observe(h, 1000);
    expect("# TYPE checkout_wait_seconds histogram\n"
           "checkout_wait_seconds_bucket{step=\"db\",le=\"0.0005\"} 2\n"
           "checkout_wait_seconds_bucket{step=\"db\",le=\"0.001\"} 2\n");
    expect("checkout_wait_seconds_bucket{step=\"db\",le=\"0.025\"} 3\n");
    expect("checkout_wait_seconds_bucket{step=\"db\",le=\"60\"} 3\n"
           "checkout_wait_seconds_bucket{step=\"db\",le=\"+Inf\"} 4\n"
           "checkout_wait_seconds_sum{step=\"db\"} 1000.0206\n"
           "checkout_wait_seconds_count{step=\"db\"} 4\n");
}
END_TEST

START_TEST(nothing_happens_to_null)
{
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    ck_assert_ptr_null(metrics_counter(NULL, "checkout_x_total", "X.", NULL));
    metrics_free(NULL);
}
END_TEST

START_TEST(the_process_is_told)
{
    expect("# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes ");
    expect("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ");
    expect("checkout_build_info{version=\"");
}
END_TEST

START_TEST(a_full_buffer_is_an_error)
{
    struct buf small;
    buf_init(&small, 100);
    ck_assert_int_eq(metrics_render(metrics, &small), ERR_FULL);
    buf_free(&small);
}
END_TEST

START_TEST(a_server_has_one_name_everywhere)
{
    metric_set(metrics_server_up(metrics, METRICS_BROKER), 1);
    metric_set(metrics_server_up(metrics, METRICS_DATABASE), 0);
    metric_set(metrics_server_up(metrics, METRICS_REDIS), 1);
    ck_assert_int_eq(metrics_render(metrics, &out), 0);
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "checkout_broker_up 1\n"));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "checkout_database_up 0\n"));
    ck_assert_ptr_nonnull(strstr(buf_text(&out), "checkout_redis_up 1\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("exposition");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_counter_adds_up);
    tcase_add_test(tests, large_counters_stay_exact);
    tcase_add_test(tests, series_of_one_name_share_their_head);
    tcase_add_test(tests, the_same_series_twice_is_one);
    tcase_add_test(tests, one_name_has_one_kind);
    tcase_add_test(tests, a_gauge_takes_fractions_and_negatives);
    tcase_add_test(tests, a_histogram_cumulates);
    tcase_add_test(tests, nothing_happens_to_null);
    tcase_add_test(tests, the_process_is_told);
    tcase_add_test(tests, a_full_buffer_is_an_error);
    tcase_add_test(tests, a_server_has_one_name_everywhere);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
