#include "tests/fake/stage_shard.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/service/metrics.h"
#include "consumer/shard/admission_keys.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"

#define SECRET "a secret of thirty-two bytes, or so"

struct stage stage;

static int key; /* of the newest job */

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
    stage.released++;
}

static void keep_fenced(uint32_t number, int64_t epoch, void *arg)
{
    (void)number;
    (void)arg;
    stage.fenced_epoch = epoch;
}

static void count_waits(uint32_t number, void *arg)
{
    (void)number;
    (void)arg;
    stage.waits++;
}

static void count_outdated(void *arg)
{
    (void)arg;
    stage.outdated++;
}

void stage_setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_money = (struct fake_money){0};
    key = 0;
    stage.released = 0;
    stage.outdated = 0;
    stage.waits = 0;
    stage.fenced_epoch = 0;
    stage.metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stage.stats, stage.metrics, 1), 0);
    stage.session = fake_pg_new();
    stage.outbox = fake_pg_new();
    stage.redis = fake_redis_new();
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    stage.context = (struct shard_context){.loop = loop_new(),
                                           .ids = ids_new(SECRET, strlen(SECRET)),
                                           .stats = &stage.stats,
                                           .shards = 1};
    stage.context.broker = broker_open(stage.context.loop, &options, ignore_state, NULL);
    stage.context.dead = deadletter_open(stage.context.loop, &options, &stage.stats);
    stage.context.admission_keys =
        admission_keys_new(stage.context.loop, 1, stage.outbox, stage.redis, NULL);
    stage.context.relay = relay_new(stage.context.loop, 1, stage.outbox, stage.redis,
                                    stage.context.admission_keys, &stage.stats);
    stage.membership = (struct shard_membership){.id = STAGE_SELF,
                                                 .take_over_waits = count_waits,
                                                 .released = count_released,
                                                 .outdated = count_outdated,
                                                 .fenced = keep_fenced};
    ck_assert_int_eq(shard_init(&stage.shard, &stage.context, &stage.membership, 0, stage.session),
                     0);
    fake_pg_up(stage.session);
}

void stage_teardown(void)
{
    deadletter_close(stage.context.dead);
    pg_close(stage.session); /* lost answers still close channels */
    pg_close(stage.outbox);
    broker_close(stage.context.broker);
    redis_close(stage.redis);
    shard_free(&stage.shard);
    relay_free(stage.context.relay);
    admission_keys_free(stage.context.admission_keys);
    ids_free(stage.context.ids);
    stats_free(&stage.stats);
    metrics_free(stage.metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(stage.context.loop);
}

struct broker_channel *stage_channel(void)
{
    struct broker_channel *found = fake_broker_consumer(stage.context.broker, STAGE_QUEUE);
    ck_assert_ptr_nonnull(found);
    return found;
}

bool stage_has_channel(void)
{
    return fake_broker_consumer(stage.context.broker, STAGE_QUEUE) != NULL;
}

void stage_stand_by(void)
{
    fake_broker_up(stage.context.broker);
    shard_want(&stage.shard, STAGE_OTHER, true);
    fake_channel_open(stage_channel());
}

void stage_deliver(void)
{
    struct job job = {.user_id = "u",
                      .sku = "s",
                      .quantity = 1,
                      .payment_method = "pm",
                      .accepted_at = "2026-01-31T10:00:00.123Z",
                      .fingerprint = "0123456789abcdef0123456789abcdef"};
    char text[16];
    (void)snprintf(text, sizeof text, "%d", key++);
    ck_assert_int_eq(ids_order(stage.context.ids, "u", text, job.order_id), 0);
    struct buf body;
    buf_init(&body, 4096);
    (void)buf_str(&body, JOB_MESSAGE_HEAD);
    (void)job_encode(&body, &job);
    (void)buf_str(&body, JOB_MESSAGE_TAIL);
    fake_channel_deliver(stage_channel(), buf_text(&body));
    buf_free(&body);
}

void stage_taken(const char *epoch)
{
    char row[32];
    (void)snprintf(row, sizeof row, "%s|0", epoch);
    fake_pg_answer(stage.session, "take_over", row);
    fake_pg_answer(stage.session, "resume_charges", "");
    fake_pg_answer(stage.session, "resume_refunds", "");
}

void stage_came(enum outcome_kind kind, const char *id)
{
    const struct outcome outcome = {.kind = kind,
                                    .order_id = "fe26c749-3126-8d97-b674-1cc3fa175761",
                                    .attempt = 1,
                                    .intent_id = id};
    shard_routing_outcome(&stage.shard.routing, &outcome);
}

void stage_settle(void)
{
    fake_pg_skip(stage.session, NULL);
}

void stage_serve(void)
{
    fake_pg_up(stage.outbox);
    fake_redis_up(stage.redis);
    stage_stand_by();
    shard_take_over(&stage.shard, "it was released", 6);
    stage_taken("7");
    stage_settle();
    fake_pg_skip(stage.outbox, NULL);
    ck_assert_int_eq(stage.shard.ownership.state, OWNERSHIP_SERVING);
}

void stage_assert_state(enum ownership_state state)
{
    ck_assert_str_eq(ownership_state_name(stage.shard.ownership.state),
                     ownership_state_name(state));
}

void stage_expect_decide(const char *epoch)
{
    fake_pg_skip(stage.session, "decide");
    ck_assert_str_eq(fake_pg_param(stage.session, 2), epoch);
}

void stage_lose_session(void)
{
    fake_pg_down(stage.session);
    shard_session_lost(&stage.shard);
}

struct broker *stage_dead_letters(void)
{
    struct broker *dead = fake_broker(1);
    fake_broker_up(dead);
    return dead;
}
