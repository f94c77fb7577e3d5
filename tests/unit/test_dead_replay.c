#include "consumer/shard/dead_replay.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define LOOK_MS 1000
#define COUNT_MS 10000
#define SILENCE_MS 5000

static struct loop *loop;
static struct broker *broker;
static struct pg *pg;
static struct ids *ids;
static struct dead_replay *replay;
static char letter[1024]; /* a job that every consumer can read */
static char order[IDS_ORDER_SIZE];

static void write_letter(void)
{
    struct buf text;
    struct job job = {.user_id = "ann",
                      .sku = "lamp",
                      .quantity = 2,
                      .payment_method = "pm_card_visa",
                      .accepted_at = "2026-01-31T18:00:00.000Z"};
    buf_init(&text, sizeof letter);
    ck_assert_int_eq(ids_order(ids, "ann", "key", job.order_id), 0);
    ck_assert_int_eq(job_fingerprint(&job, job.fingerprint), 0);
    ck_assert_int_eq(job_encode(&text, &job), 0);
    memcpy(letter, buf_text(&text), text.len + 1);
    memcpy(order, job.order_id, sizeof order);
    buf_free(&text);
}

static void on_broker(enum broker_state state, const char *reason, void *arg)
{
    (void)state;
    (void)reason;
    (void)arg;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_pg_reset();
    loop = loop_new();
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    broker = broker_open(loop, &options, on_broker, NULL);
    pg = fake_pg_new();
    fake_pg_up(pg);
    ids = ids_new(SECRET, strlen(SECRET));
    write_letter();
    replay = dead_replay_new(&(struct dead_replay_options){
        .loop = loop, .broker = broker, .session = pg, .ids = ids, .shards = 16});
    ck_assert_ptr_nonnull(replay);
}

static void teardown(void)
{
    dead_replay_stop(replay);
    broker_close(broker);
    pg_close(pg);
    dead_replay_free(replay);
    ids_free(ids);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* Somebody wants a replay, and so many letters are there: the channel that reads them. */
static struct broker_channel *reading(uint32_t letters)
{
    fake_broker_up(broker);
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "7");
    ck_assert_str_eq(fake_broker_asked(broker), SHARD_DEAD);
    fake_broker_answer_with(broker, letters, 0);
    struct broker_channel *channel = fake_broker_consumer(broker, SHARD_DEAD);
    ck_assert_ptr_nonnull(channel);
    fake_channel_open(channel);
    return channel;
}

static void expect_end(const char *state, const char *words)
{
    ck_assert_str_eq(fake_pg_oldest(pg), "end_replay");
    ck_assert_str_eq(fake_pg_param(pg, 0), "7");
    ck_assert_str_eq(fake_pg_param(pg, 1), state);
    ck_assert_msg(strstr(fake_pg_param(pg, 2), words) != NULL, "%s", fake_pg_param(pg, 2));
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    fake_pg_answer(pg, "end_replay", "");
}

START_TEST(it_asks_while_the_broker_is_there_and_reads_nothing_unasked)
{
    fake_loop_run(LOOK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_broker_up(broker);
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "null");
    ck_assert_str_eq(fake_broker_asked(broker), "");
    fake_loop_run(LOOK_MS);
    fake_pg_refuse(pg, "begin_replay", "42501");
    fake_loop_run(LOOK_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "begin_replay"), 1);
}
END_TEST

START_TEST(a_letter_goes_after_the_commit_of_its_jobs_and_what_cannot_be_read_stays)
{
    struct broker_channel *channel = reading(2);
    fake_channel_deliver(channel, letter);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_channel_deliver(channel, "no job");
    ck_assert_ptr_nonnull(strstr(fake_pg_param(pg, 0), order));
    ck_assert_ptr_nonnull(strstr(fake_pg_param(pg, 0), "\"quantity\":2"));
    ck_assert_uint_eq(fake_channel_acked(channel), 0);
    fake_pg_answer(pg, "request_readmission", "1");
    expect_end("done", "1 of 2 letters replayed: 1 of their 1 jobs");
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "null");
}
END_TEST

START_TEST(without_letters_or_beside_another_reader_it_ends_at_once)
{
    fake_broker_up(broker);
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "7");
    fake_broker_answer_with(broker, 0, 0);
    expect_end("done", "there are no dead letters");
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "7");
    fake_broker_answer_with(broker, 3, 1);
    expect_end("refused", "another program reads");
}
END_TEST

START_TEST(a_lost_session_takes_no_letter_and_another_consumer_goes_on)
{
    struct broker_channel *channel = reading(1);
    fake_channel_deliver(channel, letter);
    fake_pg_down(pg); /* whether the jobs were written is not known */
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    fake_pg_up(pg);
    fake_loop_run(LOOK_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "begin_replay"), 1);
}
END_TEST

START_TEST(jobs_that_are_refused_leave_their_letters)
{
    struct broker_channel *channel = reading(1);
    fake_channel_deliver(channel, letter);
    fake_pg_refuse(pg, "request_readmission", "22P02");
    expect_end("refused", "no letter was taken");
}
END_TEST

START_TEST(a_broker_that_is_lost_or_silent_ends_it)
{
    fake_channel_break(reading(2));
    expect_end("refused", "RabbitMQ was lost");
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "7");
    fake_broker_answer_with(broker, 2, 0);
    struct broker_channel *channel = fake_broker_consumer(broker, SHARD_DEAD);
    fake_channel_open(channel);
    fake_channel_deliver(channel, letter);
    fake_loop_run(SILENCE_MS + LOOK_MS);
    expect_end("refused", "not all dead letters came");
}
END_TEST

START_TEST(a_broker_that_does_not_count_ends_it_and_its_lock)
{
    fake_broker_up(broker);
    fake_loop_run(LOOK_MS);
    fake_pg_answer(pg, "begin_replay", "7");
    ck_assert_str_eq(fake_broker_asked(broker), SHARD_DEAD);
    fake_broker_blocked(broker);
    fake_loop_run(COUNT_MS - LOOK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(LOOK_MS);
    expect_end("refused", "does not say how many");
    fake_broker_answer_with(broker, 1, 0); /* too late: nothing is read */
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(a_channel_lost_behind_the_commit_says_that_the_jobs_go_on)
{
    struct broker_channel *channel = reading(1);
    fake_channel_deliver(channel, letter);
    fake_channel_break(channel);
    fake_pg_answer(pg, "request_readmission", "1");
    expect_end("refused", "their jobs go on");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dead replay");
    TCase *tc = tcase_create("dead_replay");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, it_asks_while_the_broker_is_there_and_reads_nothing_unasked);
    tcase_add_test(tc, a_letter_goes_after_the_commit_of_its_jobs_and_what_cannot_be_read_stays);
    tcase_add_test(tc, without_letters_or_beside_another_reader_it_ends_at_once);
    tcase_add_test(tc, a_lost_session_takes_no_letter_and_another_consumer_goes_on);
    tcase_add_test(tc, jobs_that_are_refused_leave_their_letters);
    tcase_add_test(tc, a_broker_that_is_lost_or_silent_ends_it);
    tcase_add_test(tc, a_broker_that_does_not_count_ends_it_and_its_lock);
    tcase_add_test(tc, a_channel_lost_behind_the_commit_says_that_the_jobs_go_on);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
