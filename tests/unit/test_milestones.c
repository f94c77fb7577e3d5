/* Milestones are read from RabbitMQ, and kept there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/milestone_reader.h"
#include "common/shop/milestone_writer.h"
#include "common/shop/shard.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"

#define BUSY_MS 50
#define EMPTY_MS 50
#define SILENT_MS 10000

static struct loop *loop;
static struct broker *broker;
static struct milestone_reader *reader;
static struct milestone_writer *writer;
static size_t readings;
static int code;
static size_t count;
static char milestones[256];
static int64_t kept[8];
static size_t kept_count;

static void on_state(enum broker_state state, const char *reason, void *arg)
{
    (void)state;
    (void)reason;
    (void)arg;
}

static void on_read(const struct milestone_reading *reading, void *arg)
{
    (void)arg;
    readings++;
    code = reading->code;
    count = reading->count;
    (void)snprintf(milestones, sizeof milestones, "%s", reading->milestones);
}

static void on_kept(int64_t reserved, void *arg)
{
    (void)arg;
    kept[kept_count++] = reserved;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    loop = loop_new();
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    broker = broker_open(loop, &options, on_state, NULL);
    fake_broker_up(broker);
    reader = milestone_reader_new(loop, broker, on_read, NULL);
    writer = milestone_writer_new(broker, on_kept, NULL);
    readings = 0;
    kept_count = 0;
}

static void teardown(void)
{
    milestone_reader_stop(reader);
    milestone_writer_stop(writer);
    broker_close(broker);
    milestone_reader_free(reader);
    milestone_writer_free(writer);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* ---- reading ---- */

static void start(void)
{
    ck_assert_int_eq(milestone_reader_start(reader), 0);
    ck_assert_str_eq(fake_broker_asked(broker), SHARD_MILESTONES);
}

static struct broker_channel *consumer(void)
{
    struct broker_channel *channel = fake_broker_consumer(broker, SHARD_MILESTONES);
    ck_assert_ptr_nonnull(channel);
    return channel;
}

START_TEST(all_milestones_are_read_and_put_back)
{
    start();
    fake_broker_answer_with(broker, 2, 0);
    struct broker_channel *channel = consumer();
    fake_channel_open(channel);
    fake_channel_deliver(channel, "{\"generation\":1}");
    ck_assert_uint_eq(readings, 0);
    fake_channel_deliver(channel, "b");
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(milestones, "{\"{\\\"generation\\\":1}\",\"b\"}");
    ck_assert_ptr_null(
        fake_broker_consumer(broker, SHARD_MILESTONES)); /* nothing is acknowledged */
}
END_TEST

START_TEST(another_reader_is_waited_for)
{
    start();
    fake_broker_answer_with(broker, 0, 1);
    ck_assert_str_eq(fake_broker_asked(broker), "");
    fake_loop_run(BUSY_MS);
    fake_broker_answer_with(broker, 1, 0);
    fake_channel_open(consumer());
    fake_channel_deliver(consumer(), "a");
    ck_assert_int_eq(code, 0);
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(another_reader_that_stays_is_no_answer)
{
    start();
    for (int i = 0; i < 1000 && readings == 0; i++) {
        fake_broker_answer_with(broker, 0, 1);
        fake_loop_run(BUSY_MS);
    }
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
}
END_TEST

START_TEST(an_empty_queue_is_believed_the_second_time)
{
    start();
    fake_broker_answer_with(broker, 0, 0);
    ck_assert_uint_eq(readings, 0);
    fake_loop_run(EMPTY_MS);
    fake_broker_answer_with(broker, 0, 0);
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, 0);
    ck_assert_str_eq(milestones, "{}");
}
END_TEST

START_TEST(no_queue_and_no_right_are_told_apart_from_no_answer)
{
    start();
    fake_broker_answer(broker, ERR_NOT_FOUND);
    ck_assert_int_eq(code, ERR_NOT_FOUND);
    start();
    fake_broker_answer(broker, ERR_REFUSED);
    ck_assert_int_eq(code, ERR_REFUSED);
    start();
    fake_broker_answer(broker, ERR_CONFLICT);
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    start();
    fake_broker_answer_with(broker, 1, 0);
    fake_loop_run(SILENT_MS);
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    start();
    fake_broker_answer_with(broker, 1, 0);
    fake_channel_open(consumer());
    fake_channel_break(consumer());
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    ck_assert_uint_eq(readings, 5);
}
END_TEST

/* ---- keeping ---- */

static struct broker_channel *publisher(void)
{
    (void)milestone_writer_tick(writer);
    return fake_broker_channel(broker, 0);
}

static void put(const char *milestone, int64_t reserved)
{
    ck_assert_int_eq(milestone_writer_put(writer, milestone, reserved), 0);
}

START_TEST(a_milestone_is_kept_when_it_is_confirmed)
{
    put("a", 7);
    struct broker_channel *channel = publisher();
    fake_channel_open(channel);
    ck_assert_str_eq(fake_channel_body(channel, 1), "a");
    ck_assert_uint_eq(kept_count, 0);
    fake_loop_run(300);
    ck_assert_uint_eq(milestone_writer_tick(writer), 300);
    fake_channel_confirm(channel, 1, BROKER_ACKED);
    ck_assert_uint_eq(milestone_writer_tick(writer), 0);
    ck_assert_uint_eq(kept_count, 1);
    ck_assert_int_eq(kept[0], 7);
    put("a", 7); /* it is kept, and said so again */
    ck_assert_uint_eq(kept_count, 2);
    ck_assert_uint_eq(fake_channel_published(channel), 1);
}
END_TEST

START_TEST(one_is_under_way_and_only_the_newest_waits)
{
    put("a", 1);
    struct broker_channel *channel = publisher();
    fake_channel_open(channel);
    put("b", 2);
    put("c", 3);
    ck_assert_uint_eq(fake_channel_published(channel), 1);
    fake_channel_confirm(channel, 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_published(channel), 2);
    ck_assert_str_eq(fake_channel_body(channel, 2), "c");
}
END_TEST

START_TEST(a_milestone_that_is_returned_is_not_kept)
{
    put("a", 1);
    struct broker_channel *channel = publisher();
    fake_channel_open(channel);
    fake_channel_confirm(channel, 1, BROKER_RETURNED);
    ck_assert_uint_eq(kept_count, 0);
    put("a", 1);
    ck_assert_uint_eq(fake_channel_published(channel), 2);
}
END_TEST

START_TEST(a_channel_that_is_lost_or_silent_is_opened_again)
{
    put("a", 1);
    fake_channel_open(publisher());
    fake_channel_break(fake_broker_channel(broker, 0));
    put("b", 2);
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    fake_loop_run(1000);
    ck_assert_ptr_nonnull(publisher()); /* never opened */
    fake_loop_run(SILENT_MS);
    (void)milestone_writer_tick(writer);
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    fake_loop_run(1000);
    fake_channel_open(publisher());
    ck_assert_str_eq(fake_channel_body(fake_broker_channel(broker, 0), 1), "b");
}
END_TEST

START_TEST(a_broker_that_is_away_is_waited_for)
{
    fake_broker_down(broker);
    put("a", 1);
    (void)milestone_writer_tick(writer);
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    fake_broker_up(broker);
    fake_channel_open(publisher());
    ck_assert_uint_eq(fake_channel_published(fake_broker_channel(broker, 0)), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("milestones");
    TCase *tcase = tcase_create("milestones");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, all_milestones_are_read_and_put_back);
    tcase_add_test(tcase, another_reader_is_waited_for);
    tcase_add_test(tcase, another_reader_that_stays_is_no_answer);
    tcase_add_test(tcase, an_empty_queue_is_believed_the_second_time);
    tcase_add_test(tcase, no_queue_and_no_right_are_told_apart_from_no_answer);
    tcase_add_test(tcase, a_milestone_is_kept_when_it_is_confirmed);
    tcase_add_test(tcase, one_is_under_way_and_only_the_newest_waits);
    tcase_add_test(tcase, a_milestone_that_is_returned_is_not_kept);
    tcase_add_test(tcase, a_channel_that_is_lost_or_silent_is_opened_again);
    tcase_add_test(tcase, a_broker_that_is_away_is_waited_for);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
