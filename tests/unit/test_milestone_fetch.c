/* Milestones are read over a connection that is open only for that. */
#include "consumer/milestones/milestone_fetch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/shop/shard.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"

#define PATIENCE_MS 15000
#define EMPTY_MS 50

static struct loop *loop;
static struct milestone_fetch *fetch;
static size_t readings;
static int code;
static char problem[64];
static char milestones[64];

static void on_read(const struct milestone_reading *reading, void *arg)
{
    (void)arg;
    readings++;
    code = reading->code;
    (void)snprintf(problem, sizeof problem, "%s", reading->problem);
    (void)snprintf(milestones, sizeof milestones, "%s", reading->milestones);
}

static void setup(void)
{
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    fake_loop_reset();
    fake_broker_reset();
    readings = 0;
    loop = loop_new();
    fetch = milestone_fetch_new(loop, &options, on_read, NULL);
    ck_assert_ptr_nonnull(fetch);
}

static void teardown(void)
{
    milestone_fetch_free(fetch);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* The n-th connection, which stands and is asked. */
static struct broker *asked(size_t number)
{
    ck_assert_int_eq(milestone_fetch_start(fetch), 0);
    struct broker *broker = fake_broker(number);
    fake_broker_up(broker);
    ck_assert_str_eq(fake_broker_asked(broker), SHARD_MILESTONES);
    return broker;
}

START_TEST(each_reading_has_its_own_connection)
{
    struct broker *broker = asked(0);
    fake_broker_answer_with(broker, 1, 0);
    struct broker_channel *channel = fake_broker_consumer(broker, SHARD_MILESTONES);
    fake_channel_open(channel);
    fake_channel_deliver(channel, "a");
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, 0);
    ck_assert_str_eq(milestones, "{\"a\"}");
    fake_loop_run(1);
    broker = asked(1);
    fake_broker_answer(broker, ERR_NOT_FOUND);
    ck_assert_int_eq(code, ERR_NOT_FOUND);
    ck_assert_uint_eq(readings, 2);
}
END_TEST

START_TEST(a_second_start_waits_for_the_first)
{
    struct broker *broker = asked(0);
    ck_assert_int_eq(milestone_fetch_start(fetch), 0);
    fake_broker_answer_with(broker, 0, 0);
    fake_loop_run(EMPTY_MS);
    fake_broker_answer_with(broker, 0, 0);
    ck_assert_uint_eq(readings, 1);
    ck_assert_str_eq(milestones, "{}");
}
END_TEST

START_TEST(one_that_ends_and_begins_in_a_turn_has_two_connections)
{
    fake_broker_answer(asked(0), ERR_REFUSED);
    (void)asked(1);
    fake_loop_run(1);
    ck_assert_uint_eq(readings, 1);
    fake_broker_answer(fake_broker(1), ERR_REFUSED);
    ck_assert_uint_eq(readings, 2);
}
END_TEST

START_TEST(a_broker_that_is_away_is_said_at_once)
{
    struct broker *broker = asked(0);
    fake_broker_down(broker);
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    ck_assert_str_eq(problem, "the test says so");
}
END_TEST

START_TEST(one_that_says_nothing_is_given_up)
{
    ck_assert_int_eq(milestone_fetch_start(fetch), 0); /* it does not connect */
    fake_loop_run(PATIENCE_MS);
    ck_assert_uint_eq(readings, 1);
    ck_assert_int_eq(code, ERR_UNAVAILABLE);
    ck_assert_str_eq(problem, "RabbitMQ does not answer");
    (void)asked(1); /* it does not say how many there are */
    fake_loop_run(PATIENCE_MS);
    ck_assert_uint_eq(readings, 2);
    fake_loop_run(PATIENCE_MS);
    ck_assert_uint_eq(readings, 2);
}
END_TEST

START_TEST(its_end_while_it_reads_says_nothing)
{
    (void)asked(0);
    milestone_fetch_free(fetch);
    fetch = NULL;
    ck_assert_uint_eq(readings, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("milestone fetch");
    TCase *tcase = tcase_create("milestone_fetch");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_reading_has_its_own_connection);
    tcase_add_test(tcase, a_second_start_waits_for_the_first);
    tcase_add_test(tcase, one_that_ends_and_begins_in_a_turn_has_two_connections);
    tcase_add_test(tcase, a_broker_that_is_away_is_said_at_once);
    tcase_add_test(tcase, one_that_says_nothing_is_given_up);
    tcase_add_test(tcase, its_end_while_it_reads_says_nothing);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
