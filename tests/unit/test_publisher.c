#include "producer/publish/publisher.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "common/shop/shard.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"

#define SHARDS 8
#define WAITERS 64
#define OPEN_MS 3000 /* longer than any backoff of a channel */

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct publisher *publisher;
static struct broker *broker;
static int fates[WAITERS]; /* of each waiter; -1: none yet */
static char skus[SHARDS][16];

static void fate_of(void *waiter, enum batch_fate fate, void *arg)
{
    (void)arg;
    size_t i = (size_t)(uintptr_t)waiter;
    ck_assert_int_eq(fates[i], -1); /* each is told once */
    fates[i] = (int)fate;
}

/* An item of each shard. */
static void find_skus(void)
{
    for (int n = 0, found = 0; found < SHARDS; n++) {
        char sku[16];
        (void)snprintf(sku, sizeof sku, "item-%d", n);
        uint32_t shard = shard_of(sku, strlen(sku), SHARDS);
        if (skus[shard][0] != '\0')
            continue;
        memcpy(skus[shard], sku, sizeof sku);
        found++;
    }
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    loop = loop_new();
    metrics = metrics_new();
    stats_init(&stats, metrics);
    for (size_t i = 0; i < WAITERS; i++)
        fates[i] = -1;
    find_skus();
    const struct publisher_options options = {
        .broker = {.urls = "amqp://a,amqp://b", .heartbeat_s = 4},
        .shards = SHARDS,
        .inflight_max = 8};
    publisher = publisher_open(loop, &options, &stats, fate_of, NULL);
    ck_assert_ptr_nonnull(publisher);
    broker = fake_broker(0);
}

static void teardown(void)
{
    publisher_close(publisher);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static int add(uint32_t shard, size_t waiter)
{
    const struct job job = {.order_id = "fe26c749-3126-8d97-b674-1cc3fa175761",
                            .user_id = "ann",
                            .sku = skus[shard],
                            .quantity = 1,
                            .payment_method = "pm_card_visa",
                            .accepted_at = "2027-01-15T08:00:00.123Z",
                            .fingerprint = "00112233445566778899aabbccddeeff"};
    return publisher_add(publisher, &job, (void *)(uintptr_t)waiter);
}

static struct broker_channel *channel(void)
{
    return fake_broker_channel(broker, 0);
}

/* Connected, and its channel is open. */
static void up(void)
{
    fake_broker_up(broker);
    fake_channel_open(channel());
}

static void send(uint32_t shard, size_t waiter)
{
    ck_assert_int_eq(add(shard, waiter), 0);
    fake_loop_run(0);
}

static bool ready(void)
{
    const char *why;
    return publisher_ready(publisher, &why);
}

START_TEST(nothing_is_taken_before_the_channel_is_open)
{
    ck_assert(!ready());
    ck_assert_int_eq(add(0, 1), ERR_UNAVAILABLE);
    fake_broker_up(broker);
    ck_assert_int_eq(add(0, 1), ERR_UNAVAILABLE);
    fake_channel_open(channel());
    ck_assert(ready());
    ck_assert_int_eq(add(0, 1), 0);
    ck_assert_int_eq(fates[1], -1);
}
END_TEST

START_TEST(a_job_leaves_at_once_and_is_confirmed)
{
    up();
    send(2, 1);
    ck_assert_uint_eq(fake_channel_published(channel()), 1);
    ck_assert_str_eq(fake_channel_key(channel(), 1), "2");
    ck_assert_ptr_nonnull(strstr(fake_channel_body(channel(), 1), skus[2]));
    ck_assert_int_eq(fates[1], -1);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[1], BATCH_CONFIRMED);
    ck_assert_uint_eq(publisher_jobs(publisher), 0);
}
END_TEST

START_TEST(what_comes_in_one_turn_leaves_as_one_message)
{
    up();
    ck_assert_int_eq(add(1, 1), 0);
    ck_assert_int_eq(add(1, 2), 0);
    ck_assert_int_eq(add(1, 3), 0);
    fake_loop_run(0);
    ck_assert_uint_eq(fake_channel_published(channel()), 1);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[1], BATCH_CONFIRMED);
    ck_assert_int_eq(fates[3], BATCH_CONFIRMED);
}
END_TEST

START_TEST(a_nack_and_a_return_refuse_surely)
{
    up();
    send(0, 1);
    send(1, 2);
    fake_channel_confirm(channel(), 2, BROKER_RETURNED);
    ck_assert_int_eq(fates[2], BATCH_REFUSED);
    ck_assert_int_eq(fates[1], -1);
    fake_channel_confirm(channel(), 1, BROKER_NACKED);
    ck_assert_int_eq(fates[1], BATCH_REFUSED);
}
END_TEST

START_TEST(after_a_nack_the_channel_is_renewed_when_what_was_sent_is_settled)
{
    up();
    struct broker_channel *first = channel();
    send(0, 1);
    send(1, 2);
    fake_channel_confirm(first, 1, BROKER_NACKED);
    fake_loop_run(900); /* the renewal is due within 1 s, the message of shard 1 is not overdue */
    ck_assert_uint_eq(fake_broker_channels_ever(broker), 1);
    fake_channel_confirm(first, 2, BROKER_ACKED);
    fake_loop_run(200);
    ck_assert_uint_eq(fake_broker_channels_ever(broker), 2);
    ck_assert(!ready());
    fake_channel_open(channel());
    send(0, 3);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[3], BATCH_CONFIRMED);
}
END_TEST

START_TEST(a_lost_channel_leaves_the_sent_unknown_and_the_gathered_unsent)
{
    up();
    send(0, 1);
    ck_assert_int_eq(add(0, 2), 0); /* gathers behind it */
    fake_channel_break(channel());
    ck_assert_int_eq(fates[1], BATCH_UNKNOWN);
    ck_assert_int_eq(fates[2], BATCH_UNAVAILABLE);
    ck_assert(!ready());
    fake_loop_run(OPEN_MS);
    fake_channel_open(channel());
    ck_assert(ready());
    send(0, 3);
    ck_assert_uint_eq(fake_channel_published(channel()), 1); /* the shard is free again */
}
END_TEST

START_TEST(a_lost_connection_does_the_same_and_comes_back)
{
    up();
    send(0, 1);
    fake_broker_down(broker);
    ck_assert_int_eq(fates[1], BATCH_UNKNOWN);
    ck_assert_int_eq(add(0, 2), ERR_UNAVAILABLE);
    fake_loop_run(OPEN_MS);
    ck_assert_uint_eq(fake_broker_channels(broker), 0);
    up();
    send(0, 3);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[3], BATCH_CONFIRMED);
}
END_TEST

START_TEST(a_blocked_broker_takes_nothing_new_but_confirms_what_it_has)
{
    up();
    send(0, 1);
    ck_assert_int_eq(add(0, 2), 0);
    fake_broker_blocked(broker);
    ck_assert_int_eq(fates[2], BATCH_UNAVAILABLE);
    ck_assert_int_eq(add(1, 3), ERR_UNAVAILABLE);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[1], BATCH_CONFIRMED);
    fake_broker_up(broker);
    ck_assert_uint_eq(fake_broker_channels_ever(broker), 1);
    send(1, 4);
    ck_assert_uint_eq(fake_channel_published(channel()), 2);
}
END_TEST

START_TEST(a_full_socket_is_tried_again_in_a_moment)
{
    up();
    fake_channel_fail_next(channel(), ERR_FULL);
    send(0, 1);
    ck_assert_uint_eq(fake_channel_published(channel()), 0);
    fake_loop_run(5);
    ck_assert_uint_eq(fake_channel_published(channel()), 1);
}
END_TEST

START_TEST(a_message_that_cannot_leave_is_surely_not_accepted)
{
    up();
    fake_channel_fail_next(channel(), ERR_UNAVAILABLE);
    send(0, 1);
    ck_assert_int_eq(fates[1], BATCH_UNAVAILABLE);
}
END_TEST

START_TEST(a_wave_leaves_though_the_confirms_of_the_last_are_lost)
{
    up();
    for (size_t n = 0; n < 6; n++)
        send((uint32_t)n, n + 1);
    ck_assert_uint_eq(fake_channel_published(channel()), 5); /* the sixth waits for a confirm */
    fake_loop_run(BATCHER_WAVE_MS + 100);                    /* and the next tick */
    ck_assert_uint_eq(fake_channel_published(channel()), 6);
    fake_channel_confirm(channel(), 6, BROKER_ACKED);
    ck_assert_int_eq(fates[6], BATCH_CONFIRMED);
}
END_TEST

START_TEST(an_overdue_message_stops_its_own_shard_alone)
{
    up();
    send(0, 1);
    fake_loop_run(BATCHER_OVERDUE_MS);
    ck_assert_int_eq(add(0, 2), ERR_FULL);
    send(1, 3);
    fake_channel_confirm(channel(), 2, BROKER_ACKED);
    ck_assert_int_eq(fates[3], BATCH_CONFIRMED);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[1], BATCH_CONFIRMED);
    ck_assert_int_eq(add(0, 4), 0);
}
END_TEST

START_TEST(without_a_confirm_for_five_seconds_the_fate_is_unknown)
{
    up();
    send(0, 1);
    fake_loop_run(BATCHER_UNKNOWN_MS - 200);
    ck_assert_int_eq(fates[1], -1);
    fake_loop_run(300);
    ck_assert_int_eq(fates[1], BATCH_UNKNOWN);
    fake_channel_confirm(channel(), 1, BROKER_ACKED); /* late: nobody is told twice */
    ck_assert_int_eq(add(0, 2), 0);
}
END_TEST

static bool placing(void)
{
    const char *why = NULL;
    bool fine = publisher_placing(publisher, &why);
    ck_assert(fine || why != NULL);
    return fine;
}

START_TEST(a_confirm_that_never_comes_ends_the_connection_and_frees_the_shard)
{
    up();
    send(0, 1);
    send(1, 2);
    fake_channel_confirm(channel(), 2, BROKER_ACKED);
    fake_loop_run(BATCHER_SILENT_MS - 200);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
    send(1,
         3); /* another shard goes on all the while; this one's message is lost with the others */
    fake_loop_run(300);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    ck_assert_int_eq(fates[1], BATCH_UNKNOWN);
    ck_assert_int_eq(fates[3], BATCH_UNKNOWN);
    ck_assert(!ready());
    up();
    send(0, 4);
    fake_channel_confirm(channel(), 1, BROKER_ACKED);
    ck_assert_int_eq(fates[4], BATCH_CONFIRMED);
}
END_TEST

START_TEST(a_shard_that_is_never_confirmed_is_bounded_and_disturbs_the_others_ever_more_rarely)
{
    size_t waiter = 0, taken = 0;
    up();
    for (int second = 0; second < 120; second++) {
        if (waiter < WAITERS && add(0, waiter) == 0) {
            waiter++;
            taken++;
        }
        fake_loop_run(1000);
        if (!ready())
            up();
    }
    ck_assert_uint_ge(taken, 10); /* at least one in eleven seconds */
    ck_assert_uint_ge(fake_broker_moves(broker), 2);
    ck_assert_uint_le(fake_broker_moves(broker), 6);
}
END_TEST

/* A message each second, all of which the broker answers so. */
static void answered_for(int seconds, enum broker_confirm answer, size_t waiter)
{
    for (int second = 0; second < seconds; second++) {
        if (!ready() && fake_broker_channels(broker) > 0)
            fake_channel_open(channel()); /* it was renewed */
        else if (!ready())
            up();
        send((uint32_t)second % SHARDS, waiter++);
        fake_channel_confirm(channel(), fake_channel_published(channel()), answer);
        fake_loop_run(1000);
    }
}

START_TEST(a_node_that_refuses_every_message_is_left_for_another)
{
    fake_broker_set_nodes(broker, 2);
    up();
    answered_for(5, BROKER_NACKED, 0);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    ck_assert_str_eq(fake_broker_move_reason(broker), "it confirms no orders");
    answered_for(10, BROKER_ACKED, 10);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    answered_for(5, BROKER_NACKED, 20);
    ck_assert_uint_eq(fake_broker_moves(broker), 2);
}
END_TEST

START_TEST(one_that_confirms_some_or_lacks_a_queue_or_is_the_only_one_is_not)
{
    up();
    answered_for(6, BROKER_NACKED, 0);
    fake_broker_set_nodes(broker, 2);
    answered_for(1, BROKER_ACKED, 10);
    for (size_t i = 0; i < 6; i++) {
        answered_for(2, BROKER_NACKED, 20 + 3 * i);
        answered_for(1, BROKER_ACKED, 22 + 3 * i);
    }
    answered_for(6, BROKER_RETURNED, 50);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
}
END_TEST

START_TEST(a_node_that_is_silent_to_several_shards_is_left_after_three_seconds)
{
    fake_broker_set_nodes(broker, 2);
    up();
    send(0, 0);
    fake_loop_run(4000); /* one shard may be without a leader */
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
    send(1, 1);
    fake_loop_run(BATCHER_OVERDUE_MS + 1900);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
    fake_loop_run(200);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    ck_assert_int_eq(fates[1], BATCH_UNKNOWN);
}
END_TEST

START_TEST(a_broker_that_is_blocked_is_not_left)
{
    fake_broker_set_nodes(broker, 2);
    up();
    send(0, 0);
    send(1, 1);
    fake_broker_blocked(broker);
    fake_loop_run(8000);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
}
END_TEST

START_TEST(a_channel_that_is_never_opened_ends_the_connection_too)
{
    fake_broker_up(broker);
    fake_loop_run(BATCHER_SILENT_MS - 100);
    ck_assert_uint_eq(fake_broker_moves(broker), 0);
    fake_loop_run(200);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
    up();
    fake_loop_run(60000);
    ck_assert_uint_eq(fake_broker_moves(broker), 1);
}
END_TEST

START_TEST(a_door_that_places_no_order_for_ten_seconds_is_not_ready_but_goes_on_trying)
{
    size_t waiter = 0;
    up();
    ck_assert(placing());
    for (int second = 0; second < 9; second++) {
        send(0, waiter++);
        fake_channel_confirm(channel(), fake_channel_published(channel()), BROKER_RETURNED);
        fake_loop_run(1000);
        ck_assert(placing());
    }
    fake_loop_run(1000);
    send(0, waiter++);
    fake_channel_confirm(channel(), fake_channel_published(channel()), BROKER_RETURNED);
    ck_assert(!placing());
    ck_assert(ready());
    send(1, waiter);
    fake_channel_confirm(channel(), fake_channel_published(channel()), BROKER_ACKED);
    ck_assert(placing());
}
END_TEST

START_TEST(a_door_that_was_not_ready_is_tried_again_when_nobody_came_for_a_while)
{
    up();
    send(0, 1);
    fake_loop_run(BATCHER_SILENT_MS + 200);
    up();
    ck_assert(!placing());
    fake_loop_run(BATCHER_SILENT_MS);
    ck_assert(placing());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("publisher");
    TCase *tcase = tcase_create("publisher");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, nothing_is_taken_before_the_channel_is_open);
    tcase_add_test(tcase, a_job_leaves_at_once_and_is_confirmed);
    tcase_add_test(tcase, what_comes_in_one_turn_leaves_as_one_message);
    tcase_add_test(tcase, a_nack_and_a_return_refuse_surely);
    tcase_add_test(tcase, after_a_nack_the_channel_is_renewed_when_what_was_sent_is_settled);
    tcase_add_test(tcase, a_lost_channel_leaves_the_sent_unknown_and_the_gathered_unsent);
    tcase_add_test(tcase, a_lost_connection_does_the_same_and_comes_back);
    tcase_add_test(tcase, a_blocked_broker_takes_nothing_new_but_confirms_what_it_has);
    tcase_add_test(tcase, a_full_socket_is_tried_again_in_a_moment);
    tcase_add_test(tcase, a_message_that_cannot_leave_is_surely_not_accepted);
    tcase_add_test(tcase, a_wave_leaves_though_the_confirms_of_the_last_are_lost);
    tcase_add_test(tcase, an_overdue_message_stops_its_own_shard_alone);
    tcase_add_test(tcase, without_a_confirm_for_five_seconds_the_fate_is_unknown);
    tcase_add_test(tcase, a_confirm_that_never_comes_ends_the_connection_and_frees_the_shard);
    tcase_add_test(
        tcase, a_shard_that_is_never_confirmed_is_bounded_and_disturbs_the_others_ever_more_rarely);
    tcase_add_test(tcase, a_node_that_refuses_every_message_is_left_for_another);
    tcase_add_test(tcase, one_that_confirms_some_or_lacks_a_queue_or_is_the_only_one_is_not);
    tcase_add_test(tcase, a_node_that_is_silent_to_several_shards_is_left_after_three_seconds);
    tcase_add_test(tcase, a_broker_that_is_blocked_is_not_left);
    tcase_add_test(tcase, a_channel_that_is_never_opened_ends_the_connection_too);
    tcase_add_test(tcase,
                   a_door_that_places_no_order_for_ten_seconds_is_not_ready_but_goes_on_trying);
    tcase_add_test(tcase, a_door_that_was_not_ready_is_tried_again_when_nobody_came_for_a_while);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
