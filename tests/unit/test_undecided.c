#include "producer/undecided.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define SHARDS 1
#define ASK_MS 2000

static struct api api;
static struct metrics *metrics;
static struct undecided *undecided;

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    metrics = metrics_new();
    api = (struct api){.loop = loop_new()};
    api.stats.metrics = metrics;
    api.sessions.reads = fake_pg_new();
    fake_pg_up(api.sessions.reads);
    undecided = undecided_new(&api);
    ck_assert_ptr_nonnull(undecided);
}

static void teardown(void)
{
    undecided_free(undecided);
    pg_close(api.sessions.reads);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(api.loop);
}

/* An order each `apart_ms`. */
static void accept_orders(int first, int last, uint64_t apart_ms)
{
    for (int n = first; n <= last; n++) {
        char id[IDS_ORDER_SIZE];
        (void)snprintf(id, sizeof id, "%036d", n);
        undecided_add(undecided, SHARDS, "hat", id);
        fake_loop_run(apart_ms);
    }
}

static double oldest(void)
{
    return metric_value(
        metrics_gauge(metrics, "checkout_undecided_oldest_seconds", "", "shard=\"0\""));
}

START_TEST(what_is_decided_is_forgotten_with_all_before_it)
{
    accept_orders(1, 3, 500);
    fake_loop_run(500);
    ck_assert_str_eq(fake_pg_oldest(api.sessions.reads), "producer_decided");
    ck_assert(oldest() == 2);
    fake_pg_answer(api.sessions.reads, "producer_decided", "2");
    ck_assert(oldest() == 1);
    fake_loop_run(ASK_MS);
    ck_assert(oldest() == 3);
    fake_pg_answer(api.sessions.reads, "producer_decided", "1");
    ck_assert(oldest() == 0);
    fake_loop_run(ASK_MS);
    ck_assert_str_eq(fake_pg_oldest(api.sessions.reads), ""); /* there is nothing to ask */
}
END_TEST

START_TEST(of_many_it_keeps_a_few_and_the_oldest)
{
    fake_pg_down(api.sessions.reads);
    accept_orders(1, 400, 250);
    fake_loop_run(ASK_MS);
    ck_assert(oldest() >= 100);
    fake_pg_up(api.sessions.reads);
    fake_loop_run(ASK_MS);
    ck_assert_ptr_nonnull(strstr(fake_pg_param(api.sessions.reads, 0), "000000000000000000001\""));
    ck_assert_uint_lt(strlen(fake_pg_param(api.sessions.reads, 0)), 9 * 40);
    fake_pg_answer(api.sessions.reads, "producer_decided", "");
    ck_assert(oldest() >= 100);
}
END_TEST

START_TEST(it_may_be_freed_while_it_asks)
{
    accept_orders(1, 1, ASK_MS);
    undecided_free(undecided);
    undecided = NULL;
    fake_pg_answer(api.sessions.reads, "producer_decided", "1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("undecided");
    TCase *tcase = tcase_create("undecided");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_decided_is_forgotten_with_all_before_it);
    tcase_add_test(tcase, of_many_it_keeps_a_few_and_the_oldest);
    tcase_add_test(tcase, it_may_be_freed_while_it_asks);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
