#include "consumer/shard/shard.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "consumer/shard/admission_keys.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

/* A row of checkout.output: a charge to make. */
#define CHARGED(order)                                                                             \
    "charge|" order "|s|1|1000|usd|pm|null|null|null|0|null|null|null|null|null|null|null|null|"   \
    "null|null|null|null|null"
#define SECRET "a secret of thirty-two bytes, or so"
#define QUEUE "checkout.jobs.1.0"
#define SELF 11
#define OTHER 12
#define REOPEN_MS 31000 /* longer than any backoff of the channel */

static struct metrics *metrics;
static struct stats stats;
static struct shard_context context;
static struct shard_membership membership;
static struct shard shard;
static struct pg *session, *outbox;
static struct redis *redis;
static int key;
static unsigned released, waits, outdated;
static int64_t fenced_epoch;

static void ignore_state(enum broker_state state, const char *reason, void *arg)
{
    (void)state;
    (void)reason;
    (void)arg;
}

static void count_released(uint32_t number, void *arg)
{
    (void)number;
    (void)arg;
    released++;
}

static void keep_fenced(uint32_t number, int64_t epoch, void *arg)
{
    (void)number;
    (void)arg;
    fenced_epoch = epoch;
}

static void count_waits(uint32_t number, void *arg)
{
    (void)number;
    (void)arg;
    waits++;
}

static void count_outdated(void *arg)
{
    (void)arg;
    outdated++;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_money = (struct fake_money){0};
    key = 0;
    released = 0;
    outdated = 0;
    waits = 0;
    fenced_epoch = 0;
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, 1), 0);
    session = fake_pg_new();
    outbox = fake_pg_new();
    redis = fake_redis_new();
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    context = (struct shard_context){
        .loop = loop_new(), .ids = ids_new(SECRET, strlen(SECRET)), .stats = &stats, .shards = 1};
    context.broker = broker_open(context.loop, &options, ignore_state, NULL);
    context.dead = deadletter_open(context.loop, &options, &stats);
    context.admission_keys = admission_keys_new(context.loop, 1, outbox, redis);
    context.relay = relay_new(context.loop, 1, outbox, redis, context.admission_keys, &stats);
    membership = (struct shard_membership){.id = SELF,
                                           .take_over_waits = count_waits,
                                           .released = count_released,
                                           .outdated = count_outdated,
                                           .fenced = keep_fenced};
    ck_assert_int_eq(shard_init(&shard, &context, &membership, 0, session), 0);
    fake_pg_up(session);
}

static void teardown(void)
{
    deadletter_close(context.dead);
    pg_close(session); /* lost answers still close channels */
    pg_close(outbox);
    broker_close(context.broker);
    redis_close(redis);
    shard_free(&shard);
    relay_free(context.relay);
    admission_keys_free(context.admission_keys);
    ids_free(context.ids);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(context.loop);
}

/* ---- what the servers do ---- */

static struct broker_channel *channel(void)
{
    struct broker_channel *found = fake_broker_consumer(context.broker, QUEUE);
    ck_assert_ptr_nonnull(found);
    return found;
}

static bool has_channel(void)
{
    return fake_broker_consumer(context.broker, QUEUE) != NULL;
}

/* We are standby of OTHER's shard, and consume behind it. */
static void stand_by(void)
{
    fake_broker_up(context.broker);
    shard_want(&shard, OTHER, true);
    fake_channel_open(channel());
}

/* A message with one good job arrives. */
static void deliver(void)
{
    struct job job = {.user_id = "u",
                      .sku = "s",
                      .quantity = 1,
                      .payment_method = "pm",
                      .accepted_at = "2026-01-31T10:00:00.123Z",
                      .fingerprint = "0123456789abcdef0123456789abcdef"};
    char text[16];
    (void)snprintf(text, sizeof text, "%d", key++);
    ck_assert_int_eq(ids_order(context.ids, "u", text, job.order_id), 0);
    struct buf body;
    buf_init(&body, 4096);
    (void)buf_str(&body, JOB_MESSAGE_HEAD);
    (void)job_encode(&body, &job);
    (void)buf_str(&body, JOB_MESSAGE_TAIL);
    fake_channel_deliver(channel(), buf_text(&body));
    buf_free(&body);
}

/* The take-over is answered with this epoch, and what it finds open with nothing. */
static void taken(const char *epoch)
{
    char row[32];
    (void)snprintf(row, sizeof row, "%s|0", epoch);
    fake_pg_answer(session, "take_over", row);
    fake_pg_answer(session, "resume_charges", "");
    fake_pg_answer(session, "resume_refunds", "");
}

/* Answers with nothing done until no query is left: commands, expiries, the clock. */
/* Something came of the order's payment. */
static void came(enum outcome_kind kind, const char *id)
{
    const struct outcome outcome = {.kind = kind,
                                    .order_id = "fe26c749-3126-8d97-b674-1cc3fa175761",
                                    .attempt = 1,
                                    .intent_id = id};
    shard_routing_outcome(&shard.routing, &outcome);
}

static void settle(void)
{
    fake_pg_skip(session, NULL);
}

/* We serve the shard under epoch 7, and nothing is under way, nor to be relayed. */
static void serve(void)
{
    fake_pg_up(outbox);
    fake_redis_up(redis);
    stand_by();
    shard_take_over(&shard, "it was released", 6);
    taken("7");
    settle();
    fake_pg_skip(outbox, NULL);
    ck_assert_int_eq(shard.ownership.state, OWNERSHIP_SERVING);
}

static void assert_state(enum ownership_state state)
{
    ck_assert_str_eq(ownership_state_name(shard.ownership.state), ownership_state_name(state));
}

/* The decision of the jobs is the oldest query; others before it are answered. */
static void expect_decide(const char *epoch)
{
    fake_pg_skip(session, "decide");
    ck_assert_str_eq(fake_pg_param(session, 2), epoch);
}

/* ---- taking over ---- */

START_TEST(a_delivery_takes_the_shard_over_before_it_is_decided)
{
    stand_by();
    deliver();
    assert_state(OWNERSHIP_TAKING);
    ck_assert_str_eq(fake_pg_oldest(session), "take_over");
    ck_assert_str_eq(fake_pg_param(session, 2), "11");
    ck_assert_str_eq(fake_pg_param(session, 3), "null"); /* whatever the epoch is */
    ck_assert_uint_eq(fake_pg_waiting(session, "decide"), 0);
    taken("7");
    expect_decide("7");
    ck_assert_uint_eq(fake_channel_acked(channel()), 0); /* not before the commit */
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
}
END_TEST

START_TEST(nothing_is_taken_without_membership_session_or_when_leaving)
{
    stand_by();
    membership.id = 0;
    deliver();
    assert_state(OWNERSHIP_NONE);
    membership.id = SELF;
    membership.leaving = true;
    shard_seen(&shard, 1);
    assert_state(OWNERSHIP_NONE);
    membership.leaving = false;
    fake_pg_down(session);
    shard_seen(&shard, 1);
    assert_state(OWNERSHIP_NONE);
    fake_pg_up(session);
    shard_session_up(&shard); /* we are fed */
    assert_state(OWNERSHIP_TAKING);
}
END_TEST

START_TEST(a_take_over_that_could_not_be_sent_is_tried_at_the_next_heartbeat)
{
    stand_by();
    fake_pg_fail_next(session, ERR_FULL);
    deliver();
    assert_state(OWNERSHIP_NONE);
    shard_seen(&shard, 1);
    assert_state(OWNERSHIP_TAKING);
}
END_TEST

START_TEST(the_previous_owners_payments_are_resumed)
{
    stand_by();
    shard_take_over(&shard, "its owner is dead", 6);
    ck_assert_str_eq(fake_pg_param(session, 3), "6");
    fake_pg_answer(session, "take_over", "7|40");
    fake_pg_answer(session, "resume_charges",
                   "charge|order-a|s|1|1000|usd|pm|null|null|null|3000|null|null|null|null|null|0;"
                   "charge|order-b|s|1|1000|usd|pm|null|null|null|0|null|null|null|null|null|0");
    ck_assert_uint_eq(fake_money.taken, 2);
    ck_assert_str_eq(fake_money.last_order, "order-b");
}
END_TEST

START_TEST(an_outdated_reading_takes_nothing)
{
    stand_by();
    shard_take_over(&shard, "its owner is dead", 6);
    fake_pg_answer(session, "take_over", "null|null");
    assert_state(OWNERSHIP_NONE);
    ck_assert_str_eq(fake_pg_oldest(session), "");
    ck_assert(has_channel());
}
END_TEST

START_TEST(if_we_are_fed_meanwhile_an_outdated_reading_is_followed_by_a_take_over)
{
    stand_by();
    shard_take_over(&shard, "its owner is dead", 6);
    deliver();
    fake_pg_answer(session, "take_over", "null|null");
    assert_state(OWNERSHIP_TAKING);
    ck_assert_str_eq(fake_pg_param(session, 3), "null");
}
END_TEST

START_TEST(a_refused_take_over_lets_the_deliveries_go)
{
    stand_by();
    deliver();
    fake_pg_refuse(session, "take_over", "42883");
    assert_state(OWNERSHIP_NONE);
    ck_assert(!has_channel());
    fake_loop_run(REOPEN_MS);
    ck_assert(has_channel());
}
END_TEST

START_TEST(a_take_over_outside_the_range_of_versions_ends_the_session)
{
    stand_by();
    deliver();
    fake_pg_refuse(session, "take_over", "CK004");
    assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(fake_pg_reconnects(session), 1);
}
END_TEST

START_TEST(another_number_of_shards_in_service_takes_nothing)
{
    stand_by();
    deliver();
    fake_pg_answer(session, "take_over", "");
    assert_state(OWNERSHIP_NONE);
}
END_TEST

START_TEST(a_take_over_that_waits_asks_for_the_lock_to_be_freed_until_it_ends)
{
    stand_by();
    deliver();
    fake_loop_run(1999);
    ck_assert_uint_eq(waits, 0);
    fake_loop_run(4001);
    ck_assert_uint_eq(waits, 3);
    taken("7");
    fake_loop_run(10000);
    ck_assert_uint_eq(waits, 3);
}
END_TEST

/* ---- losing it ---- */

START_TEST(a_lost_session_keeps_deliveries_and_takes_the_shard_over_anew)
{
    serve();
    deliver();
    expect_decide("7");
    fake_pg_down(session); /* whether it was committed is unknown */
    shard_session_lost(&shard);
    assert_state(OWNERSHIP_NONE);
    ck_assert(has_channel());
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    fake_pg_up(session);
    shard_session_up(&shard);
    ck_assert_str_eq(fake_pg_param(session, 3), "7"); /* only if nobody was there meanwhile */
    taken("8");
    expect_decide("8"); /* the same jobs again: those known are no-ops */
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
}
END_TEST

START_TEST(a_lost_session_and_another_owner_drop_what_was_in_memory)
{
    serve();
    deliver();
    fake_pg_down(session);
    shard_session_lost(&shard);
    fake_pg_up(session);
    shard_session_up(&shard);
    fake_pg_answer(session, "take_over", "null|null");
    assert_state(OWNERSHIP_NONE);
    ck_assert(!has_channel());
    ck_assert_uint_eq(fake_money.forgotten, 1);
    ck_assert_str_eq(fake_pg_oldest(session), "");
}
END_TEST

START_TEST(a_lost_commit_of_the_take_over_is_asked_again)
{
    stand_by();
    deliver();
    fake_pg_down(session);
    shard_session_lost(&shard);
    assert_state(OWNERSHIP_NONE);
    fake_pg_up(session);
    shard_session_up(&shard);
    ck_assert_str_eq(fake_pg_param(session, 3), "null"); /* we are still fed */
    taken("9");
    expect_decide("9");
}
END_TEST

START_TEST(fenced_by_a_write_it_forgets_all_and_stands_behind)
{
    serve();
    deliver();
    expect_decide("7");
    fake_pg_refuse(session, "decide", "CK001");
    assert_state(OWNERSHIP_NONE);
    ck_assert(!has_channel());
    ck_assert_uint_eq(fake_money.forgotten, 1);
    fake_loop_run(REOPEN_MS);
    fake_channel_open(channel());
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* not fed: not ours */
}
END_TEST

START_TEST(fenced_by_what_the_table_shows)
{
    serve();
    shard_seen(&shard, 7);
    assert_state(OWNERSHIP_SERVING);
    shard_seen(&shard, 8);
    assert_state(OWNERSHIP_NONE);
    ck_assert_int_eq(fenced_epoch, 7);
}
END_TEST

START_TEST(an_answer_of_an_epoch_that_is_over_changes_nothing)
{
    serve();
    deliver();
    expect_decide("7");
    shard_disown(&shard); /* with the decision on its way */
    shard_take_over(&shard, "again", 7);
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    taken("8");
    expect_decide("8");
}
END_TEST

START_TEST(a_lost_channel_forgets_deliveries_and_settling_goes_on)
{
    serve();
    deliver();
    deliver();
    fake_channel_break(channel());
    assert_state(OWNERSHIP_SERVING);
    came(OUTCOME_CAPTURED, "pi_1");
    fake_pg_skip(session, "settle");
    settle();
    fake_loop_run(REOPEN_MS);
    fake_channel_open(channel());
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    deliver();
    expect_decide("7");
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
}
END_TEST

/* ---- yielding ---- */

START_TEST(a_yield_finishes_what_was_begun_and_leaves_the_rest_to_the_broker)
{
    serve();
    deliver();
    expect_decide("7");
    deliver(); /* not begun */
    struct broker_channel *old = channel();
    shard_yield(&shard, "another member is its assigned owner", 200, 0);
    assert_state(OWNERSHIP_YIELDING);
    ck_assert_uint_eq(fake_money.held, 1);
    deliver(); /* comes while it yields */
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(old), 1); /* the begun one alone */
    fake_loop_run(20);
    assert_state(OWNERSHIP_YIELDING); /* its events are to be told */
    fake_pg_answer(outbox, "unrelayed", "");
    fake_loop_run(20);
    ck_assert_str_eq(fake_pg_oldest(session), "release");
    ck_assert_str_eq(fake_pg_param(session, 2), "7");
    assert_state(OWNERSHIP_RELEASING);
    ck_assert_ptr_eq(channel(),
                     old); /* it closes after the release, so that nobody is fed before */
    fake_pg_answer(session, "release", "");
    assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(released, 1);
    ck_assert(!has_channel());
    fake_loop_run(REOPEN_MS);
    ck_assert(has_channel()); /* behind */
}
END_TEST

START_TEST(after_a_release_the_channel_may_have_to_wait)
{
    serve();
    shard_yield(&shard, "another member is its assigned owner", 200, 2500);
    fake_pg_answer(session, "release", "");
    fake_loop_run(2400);
    shard_want(&shard, OTHER, true); /* with each heartbeat */
    ck_assert(!has_channel());
    fake_loop_run(100);
    ck_assert(has_channel());
}
END_TEST

START_TEST(a_yield_waits_for_payments_in_flight_with_patience_only)
{
    serve();
    fake_money.calling = true;
    shard_yield(&shard, "leaving", 6000, 0);
    fake_loop_run(5980);
    assert_state(OWNERSHIP_YIELDING);
    fake_loop_run(40);
    assert_state(OWNERSHIP_RELEASING);
}
END_TEST

START_TEST(a_payment_that_ends_during_a_yield_is_settled_before_the_release)
{
    serve();
    fake_money.calling = true;
    shard_yield(&shard, "leaving", 6000, 0);
    came(OUTCOME_CAPTURED, "pi_1");
    fake_money.calling = false;
    fake_loop_run(100);
    assert_state(OWNERSHIP_YIELDING);
    fake_pg_answer(session, "settle", CHARGED("order-c"));
    ck_assert_uint_eq(fake_money.taken, 0); /* the next owner charges whom it promotes */
    fake_pg_answer(outbox, "unrelayed", "");
    fake_loop_run(100);
    assert_state(OWNERSHIP_RELEASING);
}
END_TEST

START_TEST(a_shard_with_an_unknown_task_is_released_for_good)
{
    serve();
    deliver();
    fake_pg_answer(
        session, "decide",
        "teleport|o|s|1|null|null|null|null|null|null|null|null|null|null|null|null|null|"
        "null|null|null|null|null|null|null;" CHARGED("order-c"));
    ck_assert_uint_eq(fake_money.taken, 1); /* what is known is done */
    ck_assert_uint_eq(outdated, 1);
    assert_state(OWNERSHIP_RELEASING); /* once what was decided is acknowledged */
    ck_assert(fake_money.held > 0);
    fake_pg_skip(session, "release");
    fake_pg_answer(session, "release", "t");
    assert_state(OWNERSHIP_NONE);
    shard_take_over(&shard, "it was released", 7);
    assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(outdated, 1);
}
END_TEST

START_TEST(an_unknown_task_among_the_previous_owners_releases_it_too)
{
    stand_by();
    shard_take_over(&shard, "its owner is dead", 6);
    fake_pg_answer(session, "take_over", "7|40");
    fake_pg_answer(session, "resume_charges",
                   "charge|order-a|s|1|1000|usd|null|null|null|null|3000|null|null|null|null|0");
    ck_assert_uint_eq(fake_money.taken, 0); /* without a payment method it cannot be charged */
    ck_assert_uint_eq(outdated, 1);
    assert_state(OWNERSHIP_YIELDING);
}
END_TEST

START_TEST(a_session_lost_while_yielding_ends_in_a_new_channel)
{
    serve();
    deliver();
    shard_yield(&shard, "leaving", 6000, 0);
    deliver();
    fake_pg_down(session);
    shard_session_lost(&shard);
    assert_state(OWNERSHIP_NONE);
    ck_assert(!has_channel());
    fake_pg_up(session);
    shard_session_up(&shard);
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* given up, not resumed */
}
END_TEST

START_TEST(a_lost_release_ends_it_all_the_same)
{
    serve();
    shard_yield(&shard, "leaving", 6000, 0);
    assert_state(OWNERSHIP_RELEASING);
    fake_pg_down(session);
    shard_session_lost(&shard);
    assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(released, 1);
}
END_TEST

START_TEST(a_release_that_cannot_be_sent_ends_it_too)
{
    serve();
    fake_pg_fail_next(session, ERR_FULL);
    shard_yield(&shard, "leaving", 6000, 0);
    assert_state(OWNERSHIP_NONE);
}
END_TEST

START_TEST(a_channel_lost_while_yielding_is_not_opened_before_the_release)
{
    serve();
    fake_money.calling = true;
    shard_yield(&shard, "leaving", 60000, 0);
    fake_channel_break(channel());
    fake_loop_run(REOPEN_MS);
    ck_assert(!has_channel()); /* it would be fed what the next owner is to have */
    fake_money.calling = false;
    fake_loop_run(100);
    fake_pg_answer(session, "release", "");
    fake_loop_run(REOPEN_MS);
    ck_assert(has_channel());
}
END_TEST

START_TEST(fenced_while_yielding_there_is_nothing_to_release)
{
    serve();
    deliver();
    expect_decide("7");
    shard_yield(&shard, "leaving", 6000, 0);
    fake_pg_refuse(session, "decide", "CK001");
    assert_state(OWNERSHIP_NONE);
    fake_loop_run(REOPEN_MS);
    ck_assert_uint_eq(fake_pg_waiting(session, "release"), 0);
}
END_TEST

/* ---- the channel ---- */

START_TEST(a_standby_makes_room_for_a_new_owner)
{
    stand_by();
    struct broker_channel *old = channel();
    shard_want(&shard, OTHER, true);
    ck_assert_ptr_eq(channel(), old); /* the same owner: stays */
    shard_want(&shard, OTHER + 1, true);
    ck_assert(!has_channel());
    fake_loop_run(100);
    ck_assert(has_channel());
}
END_TEST

START_TEST(a_standby_that_is_fed_makes_no_room)
{
    stand_by();
    membership.id = 0; /* so that it takes nothing over yet */
    deliver();
    struct broker_channel *old = channel();
    shard_want(&shard, OTHER + 1, true);
    ck_assert_ptr_eq(channel(), old);
}
END_TEST

START_TEST(an_unwanted_channel_is_closed_unless_the_shard_is_ours)
{
    stand_by();
    shard_want(&shard, OTHER, false);
    ck_assert(!has_channel());
    shard_want(&shard, SELF, true);
    fake_channel_open(channel());
    shard_take_over(&shard, "it was released", 6);
    taken("7");
    shard_want(&shard, OTHER, false);
    ck_assert(has_channel());
}
END_TEST

START_TEST(a_channel_that_fails_again_and_again_is_opened_ever_more_rarely)
{
    stand_by();
    size_t before = fake_broker_channels_ever(context.broker);
    for (int second = 0; second < 60; second++) {
        if (has_channel())
            fake_channel_break(channel());
        fake_loop_run(1000);
    }
    size_t tries = fake_broker_channels_ever(context.broker) - before;
    ck_assert_uint_ge(tries, 4);
    ck_assert_uint_le(tries, 12);
}
END_TEST

START_TEST(the_broker_that_is_back_is_used_at_once)
{
    stand_by();
    fake_broker_down(context.broker);
    fake_loop_run(60000);
    ck_assert(!has_channel());
    fake_broker_up(context.broker);
    shard_channel_broker_up(&shard.channel);
    ck_assert(has_channel());
}
END_TEST

START_TEST(a_new_connection_begins_its_backoff_anew)
{
    stand_by();
    for (int i = 0; i < 10; i++) {
        fake_channel_break(channel());
        fake_loop_run(REOPEN_MS);
    }
    fake_broker_down(context.broker);
    fake_broker_up(context.broker);
    shard_channel_broker_up(&shard.channel);
    fake_channel_break(channel());
    fake_loop_run(100);
    ck_assert(has_channel());
}
END_TEST

/* ---- what cannot be read ---- */

START_TEST(an_unreadable_message_is_safe_in_the_dead_letters_before_its_ack)
{
    serve();
    struct broker *dead = fake_broker(1);
    fake_broker_up(dead);
    fake_channel_deliver(channel(), "no json");
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    fake_channel_open(fake_broker_channel(dead, 0));
    ck_assert_str_eq(fake_channel_body(fake_broker_channel(dead, 0), 1), "no json");
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    deliver(); /* the next batch waits */
    ck_assert_uint_eq(fake_pg_waiting(session, "decide"), 0);
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
    expect_decide("7");
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 2);
}
END_TEST

START_TEST(a_dead_letter_is_sent_once_though_other_work_goes_on_meanwhile)
{
    serve();
    struct broker *dead = fake_broker(1);
    fake_broker_up(dead);
    fake_channel_deliver(channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    shard_routing_commands(&shard.routing);
    settle();
    ck_assert_uint_eq(fake_channel_published(fake_broker_channel(dead, 0)), 1);
}
END_TEST

START_TEST(the_same_message_on_a_new_channel_waits_for_its_own_dead_letter)
{
    serve();
    struct broker *dead = fake_broker(1);
    fake_broker_up(dead);
    fake_channel_deliver(channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    fake_channel_break(channel());
    fake_loop_run(200); /* its first backoff */
    fake_channel_open(channel());
    fake_channel_deliver(channel(), "no json");
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    fake_channel_confirm(fake_broker_channel(dead, 0), 2, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
}
END_TEST

START_TEST(a_dead_letter_of_a_channel_that_is_gone_acknowledges_nothing)
{
    serve();
    struct broker *dead = fake_broker(1);
    fake_broker_up(dead);
    fake_channel_deliver(channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    fake_channel_break(channel());
    fake_loop_run(200); /* its first backoff */
    fake_channel_open(channel());
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(channel()), 0);
    deliver();
    expect_decide("7");
}
END_TEST

/* ---- the writer ---- */

START_TEST(a_bad_value_harms_only_its_own_job)
{
    serve();
    deliver();
    expect_decide("7");
    deliver();
    deliver();
    fake_pg_answer(session, "decide", "");
    expect_decide("7");
    fake_pg_refuse(session, "decide", "22021"); /* of two jobs: they are halved */
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
    fake_pg_refuse(session, "decide", "22021"); /* alone: it is decided as invalid */
    ck_assert_ptr_nonnull(strstr(fake_pg_param(session, 15), "refuses"));
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 3);
}
END_TEST

START_TEST(a_refusal_that_may_pass_is_tried_again)
{
    serve();
    deliver();
    expect_decide("7");
    fake_pg_refuse(session, "decide", "53100");
    ck_assert_str_eq(fake_pg_oldest(session), "");
    fake_loop_run(200);
    expect_decide("7");
    fake_pg_answer(session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 1);
}
END_TEST

START_TEST(work_of_all_kinds_takes_turns)
{
    serve();
    deliver();
    expect_decide("7");
    deliver();
    shard_routing_commands(&shard.routing);
    shard_routing_waitlist(&shard.routing, "s");
    shard_routing_expired(&shard.routing);
    came(OUTCOME_CAPTURED, "pi_1");
    came(OUTCOME_REFUNDED, "re_1");
    static const char *const order[] = {"decide", "run_commands",   "settle_waitlist", "expire",
                                        "settle", "record_refunds", "decide"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        fake_pg_answer(session, order[i], ""); /* one transaction at a time */
    ck_assert_str_eq(fake_pg_oldest(session), "");
    ck_assert_uint_eq(fake_channel_acked(channel()), 2);
}
END_TEST

START_TEST(stopped_payments_stop_the_shards_clock)
{
    serve();
    shard_routing_stop_payments(&shard.routing, "failing");
    ck_assert_str_eq(fake_pg_oldest(session), "stop_payments");
    ck_assert_str_eq(fake_pg_param(session, 3), "failing");
    fake_pg_answer(session, "stop_payments", "");
    shard_routing_stop_payments(&shard.routing, NULL);
    ck_assert_str_eq(fake_pg_param(session, 3), "null");
}
END_TEST

START_TEST(nothing_is_routed_to_a_shard_that_is_not_ours)
{
    stand_by();
    shard_routing_commands(&shard.routing);
    shard_routing_waitlist(&shard.routing, "s");
    shard_routing_expired(&shard.routing);
    came(OUTCOME_CAPTURED, "pi_1");
    came(OUTCOME_REFUNDED, "re_1");
    ck_assert_str_eq(fake_pg_oldest(session), "");
    ck_assert_uint_eq(shard.writer.payments.count, 0);
    ck_assert_uint_eq(shard.writer.refunds.count, 0);
    shard_take_over(&shard, "it was released", 6);
    taken("7");
    fake_pg_answer(session, "run_commands", ""); /* as after every take-over */
    fake_pg_answer(session, "stop_payments", "");
    fake_pg_answer(session, "expire", "");
    ck_assert_str_eq(fake_pg_oldest(session), "");
}
END_TEST

static void add_taking_over(Suite *suite)
{
    TCase *tcase = tcase_create("taking over");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_delivery_takes_the_shard_over_before_it_is_decided);
    tcase_add_test(tcase, nothing_is_taken_without_membership_session_or_when_leaving);
    tcase_add_test(tcase, a_take_over_that_could_not_be_sent_is_tried_at_the_next_heartbeat);
    tcase_add_test(tcase, the_previous_owners_payments_are_resumed);
    tcase_add_test(tcase, an_outdated_reading_takes_nothing);
    tcase_add_test(tcase, if_we_are_fed_meanwhile_an_outdated_reading_is_followed_by_a_take_over);
    tcase_add_test(tcase, a_refused_take_over_lets_the_deliveries_go);
    tcase_add_test(tcase, a_take_over_outside_the_range_of_versions_ends_the_session);
    tcase_add_test(tcase, another_number_of_shards_in_service_takes_nothing);
    tcase_add_test(tcase, a_take_over_that_waits_asks_for_the_lock_to_be_freed_until_it_ends);
    suite_add_tcase(suite, tcase);
}

static void add_losing(Suite *suite)
{
    TCase *tcase = tcase_create("losing it");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_lost_session_keeps_deliveries_and_takes_the_shard_over_anew);
    tcase_add_test(tcase, a_lost_session_and_another_owner_drop_what_was_in_memory);
    tcase_add_test(tcase, a_lost_commit_of_the_take_over_is_asked_again);
    tcase_add_test(tcase, fenced_by_a_write_it_forgets_all_and_stands_behind);
    tcase_add_test(tcase, fenced_by_what_the_table_shows);
    tcase_add_test(tcase, an_answer_of_an_epoch_that_is_over_changes_nothing);
    tcase_add_test(tcase, a_lost_channel_forgets_deliveries_and_settling_goes_on);
    suite_add_tcase(suite, tcase);
}

static void add_yielding(Suite *suite)
{
    TCase *tcase = tcase_create("yielding");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_yield_finishes_what_was_begun_and_leaves_the_rest_to_the_broker);
    tcase_add_test(tcase, after_a_release_the_channel_may_have_to_wait);
    tcase_add_test(tcase, a_yield_waits_for_payments_in_flight_with_patience_only);
    tcase_add_test(tcase, a_payment_that_ends_during_a_yield_is_settled_before_the_release);
    tcase_add_test(tcase, a_shard_with_an_unknown_task_is_released_for_good);
    tcase_add_test(tcase, an_unknown_task_among_the_previous_owners_releases_it_too);
    tcase_add_test(tcase, a_session_lost_while_yielding_ends_in_a_new_channel);
    tcase_add_test(tcase, a_lost_release_ends_it_all_the_same);
    tcase_add_test(tcase, a_release_that_cannot_be_sent_ends_it_too);
    tcase_add_test(tcase, a_channel_lost_while_yielding_is_not_opened_before_the_release);
    tcase_add_test(tcase, fenced_while_yielding_there_is_nothing_to_release);
    suite_add_tcase(suite, tcase);
}

static void add_channel_and_writer(Suite *suite)
{
    TCase *tcase = tcase_create("channel and writer");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_standby_makes_room_for_a_new_owner);
    tcase_add_test(tcase, a_standby_that_is_fed_makes_no_room);
    tcase_add_test(tcase, a_new_connection_begins_its_backoff_anew);
    tcase_add_test(tcase, a_dead_letter_is_sent_once_though_other_work_goes_on_meanwhile);
    tcase_add_test(tcase, the_same_message_on_a_new_channel_waits_for_its_own_dead_letter);
    tcase_add_test(tcase, an_unwanted_channel_is_closed_unless_the_shard_is_ours);
    tcase_add_test(tcase, a_channel_that_fails_again_and_again_is_opened_ever_more_rarely);
    tcase_add_test(tcase, the_broker_that_is_back_is_used_at_once);
    tcase_add_test(tcase, an_unreadable_message_is_safe_in_the_dead_letters_before_its_ack);
    tcase_add_test(tcase, a_dead_letter_of_a_channel_that_is_gone_acknowledges_nothing);
    tcase_add_test(tcase, a_bad_value_harms_only_its_own_job);
    tcase_add_test(tcase, a_refusal_that_may_pass_is_tried_again);
    tcase_add_test(tcase, work_of_all_kinds_takes_turns);
    tcase_add_test(tcase, stopped_payments_stop_the_shards_clock);
    tcase_add_test(tcase, nothing_is_routed_to_a_shard_that_is_not_ours);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("shard life");
    add_taking_over(suite);
    add_losing(suite);
    add_yielding(suite);
    add_channel_and_writer(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
