#include "consumer/shard/dead_letter.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"

#define LATER_MS 1000 /* longer than a retry */

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct deadletter *dead;
static struct broker *broker;
static uint64_t safe[8]; /* cookies, in the order of their confirms */
static size_t safe_count;

static void on_safe(uint64_t cookie, void *arg)
{
    (void)arg;
    safe[safe_count++] = cookie;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    safe_count = 0;
    loop = loop_new();
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, 1), 0);
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    dead = deadletter_open(loop, &options, &stats);
    broker = fake_broker(0);
}

static void teardown(void)
{
    deadletter_close(dead);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static int send(const char *body, uint64_t cookie)
{
    return deadletter_send(dead, body, strlen(body), "no json", cookie, on_safe, NULL);
}

static struct broker_channel *channel(void)
{
    return fake_broker_channel(broker, 0);
}

START_TEST(a_letter_waits_for_the_broker_and_is_safe_when_it_is_confirmed)
{
    ck_assert_int_eq(send("x", 5), 0);
    fake_broker_up(broker);
    fake_channel_open(channel());
    ck_assert_str_eq(fake_channel_body(channel(), 1), "x");
    ck_assert_uint_eq(safe_count, 0);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_uint_eq(safe_count, 1);
    ck_assert_uint_eq(safe[0], 5);
}
END_TEST

START_TEST(a_refused_letter_is_published_again_and_a_foreign_confirm_means_nothing)
{
    fake_broker_up(broker);
    ck_assert_int_eq(send("x", 5), 0);
    fake_channel_open(channel());
    fake_channel_confirm(channel(), 1, BROKER_RETURNED);
    fake_loop_run(LATER_MS);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_uint_eq(safe_count, 0);
    fake_channel_confirm(channel(), 2, BROKER_ACKED);
    ck_assert_uint_eq(safe_count, 1);
}
END_TEST

START_TEST(a_lost_channel_publishes_again_on_the_next)
{
    fake_broker_up(broker);
    ck_assert_int_eq(send("x", 5), 0);
    fake_channel_open(channel());
    fake_channel_break(channel());
    fake_loop_run(LATER_MS);
    fake_channel_open(channel());
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_uint_eq(safe_count, 1);
}
END_TEST

START_TEST(a_socket_without_room_is_tried_again)
{
    fake_broker_up(broker);
    ck_assert_int_eq(send("x", 5), 0);
    fake_channel_open(channel());
    fake_channel_fail_next(channel(), ERR_FULL);
    ck_assert_int_eq(send("y", 6), 0);
    ck_assert_uint_eq(fake_channel_published(channel()), 1);
    fake_loop_run(LATER_MS);
    ck_assert_uint_eq(fake_channel_published(channel()), 2);
}
END_TEST

START_TEST(a_confirm_that_never_comes_ends_the_connection)
{
    fake_broker_up(broker);
    ck_assert_int_eq(send("x", 5), 0);
    fake_channel_open(channel());
    fake_loop_run(9000);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
    fake_loop_run(2000);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    fake_broker_up(broker);
    fake_channel_open(channel());
    fake_loop_run(5000);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_uint_eq(safe_count, 1);
    fake_loop_run(60000);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
}
END_TEST

START_TEST(a_channel_that_is_never_opened_ends_the_connection)
{
    fake_broker_up(broker);
    ck_assert_int_eq(send("x", 5), 0);
    fake_loop_run(11000);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
}
END_TEST

START_TEST(a_broker_that_is_away_or_blocked_is_waited_for)
{
    ck_assert_int_eq(send("x", 5), 0);
    fake_loop_run(60000);
    fake_broker_blocked(broker);
    fake_loop_run(60000);
    fake_broker_up(broker);
    fake_loop_run(9000); /* from now on its silence counts */
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
}
END_TEST

START_TEST(so_many_may_wait)
{
    for (int i = 0; i < DEADLETTER_MAX; i++)
        ck_assert_int_eq(send("x", 5), 0);
    ck_assert_int_eq(send("x", 5), ERR_FULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead letter");
    TCase *tcase = tcase_create("dead letter");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_letter_waits_for_the_broker_and_is_safe_when_it_is_confirmed);
    tcase_add_test(tcase, a_refused_letter_is_published_again_and_a_foreign_confirm_means_nothing);
    tcase_add_test(tcase, a_lost_channel_publishes_again_on_the_next);
    tcase_add_test(tcase, a_socket_without_room_is_tried_again);
    tcase_add_test(tcase, a_confirm_that_never_comes_ends_the_connection);
    tcase_add_test(tcase, a_channel_that_is_never_opened_ends_the_connection);
    tcase_add_test(tcase, a_broker_that_is_away_or_blocked_is_waited_for);
    tcase_add_test(tcase, so_many_may_wait);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
