#include "consumer/relay/lines.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/service/metrics.h"
#include "consumer/relay/pace.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define SHARDS 4
#define CHANNEL_OF_HAT "PUBLISH checkout:line:hat "

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct pg *session;
static struct redis *redis;
static struct lines *lines;

static void setup(void)
{
    fake_loop_reset();
    loop = loop_new();
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    session = fake_pg_new();
    redis = fake_redis_new();
    lines = lines_new(loop, SHARDS, session, redis, &stats);
    ck_assert_ptr_nonnull(lines);
    fake_pg_up(session);
    fake_redis_up(redis);
    lines_serve(lines, 2, true);
}

static void teardown(void)
{
    pg_close(session);
    redis_close(redis);
    lines_free(lines);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static void no_page(void)
{
    ck_assert_str_eq(fake_pg_oldest(session), "page_of_lines");
    ck_assert_str_eq(fake_pg_param(session, 0), "{2}");
    fake_pg_answer(session, "page_of_lines", "");
}

START_TEST(a_line_that_moves_is_told_once_a_second)
{
    for (int i = 0; i < 1000; i++)
        lines_moved(lines, "hat");
    ck_assert_str_eq(fake_pg_oldest(session), "");
    fake_loop_run(1000);
    ck_assert_str_eq(fake_pg_oldest(session), "lines");
    ck_assert_str_eq(fake_pg_param(session, 0), "{\"hat\"}");
    fake_pg_answer(session, "lines", "hat|2|5|21|12|0");
    no_page();
    ck_assert_str_eq(fake_redis_command(redis, 0), CHANNEL_OF_HAT
                     "{\"version\":1,\"head\":5,\"next\":21,\"waiting\":12,\"behind_ms\":0}");
    fake_redis_done(redis, 0);
    fake_loop_run(1000);
    ck_assert_str_eq(fake_pg_oldest(session), "");
    lines_moved(lines, "hat");
    fake_loop_run(1000);
    fake_pg_answer(session, "lines", "hat|2|6|21|11|null");
    ck_assert_str_eq(fake_redis_command(redis, 0),
                     CHANNEL_OF_HAT "{\"version\":1,\"head\":6,\"next\":21,\"waiting\":11}");
    fake_redis_done(redis, 0);
}
END_TEST

START_TEST(every_line_of_ours_is_told_again)
{
    fake_loop_run(1000);
    fake_pg_answer(session, "page_of_lines", "1|cap;2|hat");
    for (int i = 0; i < 6; i++) {
        fake_loop_run(1000);
        if (fake_pg_waiting(session, "lines") == 1) {
            ck_assert_str_eq(fake_pg_param(session, 0), "{\"hat\"}"); /* the cap is another's */
            fake_pg_answer(session, "lines", "hat|2|5|21|12|0");
        }
        if (fake_pg_waiting(session, "page_of_lines") == 1)
            fake_pg_answer(session, "page_of_lines", "2|hat");
    }
    ck_assert_uint_eq(fake_redis_sent(redis, CHANNEL_OF_HAT), 2);
}
END_TEST

START_TEST(nobody_is_told_of_an_empty_line_or_of_one_that_is_not_ours)
{
    lines_moved(lines, "hat");
    lines_moved(lines, "cap");
    fake_loop_run(1000);
    fake_pg_answer(session, "lines", "hat|2|21|21|0|0;cap|1|1|2|1|0");
    no_page();
    ck_assert_uint_eq(fake_redis_sent(redis, "PUBLISH"), 0);
    fake_loop_run(1000);
    ck_assert_str_eq(fake_pg_oldest(session), "");
}
END_TEST

START_TEST(without_redis_or_the_database_it_waits)
{
    fake_redis_down(redis);
    lines_moved(lines, "hat");
    fake_loop_run(3000);
    ck_assert_str_eq(fake_pg_oldest(session), "");
    fake_redis_up(redis);
    fake_loop_run(1000);
    fake_pg_refuse(session, "lines", "57014"); /* the next page makes it good */
    no_page();
    ck_assert_uint_eq(fake_redis_sent(redis, "PUBLISH"), 0);
    lines_moved(lines, "hat");
    fake_pg_down(session);
    fake_loop_run(2000);
    fake_pg_up(session);
    fake_loop_run(1000);
    fake_pg_answer(session, "lines", "hat|2|5|21|12|0");
    ck_assert_uint_eq(fake_redis_sent(redis, CHANNEL_OF_HAT), 1);
}
END_TEST

START_TEST(the_pace_is_told)
{
    char row[64];
    for (int second = 0; second < 30; second++) {
        lines_moved(lines, "hat");
        fake_loop_run(1000);
        (void)snprintf(row, sizeof row, "hat|2|%d|1001|%d|0", 1 + 2 * second, 1000 - 2 * second);
        fake_pg_answer(session, "lines", row);
        fake_pg_skip(session, NULL);
        bool told = strstr(fake_redis_command(redis, 0), "\"pace_ms\":500") != NULL;
        ck_assert_int_eq(told, second >= PACE_OLD_ENOUGH / 1000);
        fake_redis_done(redis, 0);
    }
}
END_TEST

START_TEST(the_pace_is_that_of_the_last_minute)
{
    struct pace pace = {0};
    int64_t left = 0;
    uint64_t now_ms = 1000;
    for (; now_ms < 100000; now_ms += 1000)
        (void)pace_see(&pace, left += 10, now_ms);
    ck_assert_int_eq(pace_see(&pace, left + 10, now_ms), 100);
    left += 10;
    for (; now_ms < 200000; now_ms += 1000)
        (void)pace_see(&pace, left, now_ms);
    ck_assert_int_eq(pace_see(&pace, left, now_ms), 0);
    ck_assert_int_eq(pace_see(&pace, left + 1000000, now_ms), 1); /* ms are the smallest unit */
    ck_assert_int_eq(pace_see(&pace, 1, now_ms), 0);              /* another database */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tests = tcase_create("lines");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_line_that_moves_is_told_once_a_second);
    tcase_add_test(tests, every_line_of_ours_is_told_again);
    tcase_add_test(tests, nobody_is_told_of_an_empty_line_or_of_one_that_is_not_ours);
    tcase_add_test(tests, without_redis_or_the_database_it_waits);
    tcase_add_test(tests, the_pace_is_told);
    tcase_add_test(tests, the_pace_is_that_of_the_last_minute);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
