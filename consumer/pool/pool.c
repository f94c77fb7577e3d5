#include "consumer/pool/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/testing/seeded_bug.h"
#include "consumer/pool/leaving.h"
#include "consumer/pool/plan.h"
#include "consumer/pool/pool_db.h"
#include "consumer/pool/probe.h"
#include "consumer/pool/roster.h"
#include "consumer/shard/sweep.h"

#define HEARTBEAT_MS 1000
#define DATABASE_LOST_MS 5000
#define YIELD_PATIENCE_MS 200
#define LEAVE_PATIENCE_MS 6000
#define NAME_SIZE 160
#define HOST_SIZE 128

struct pool {
    const struct shard_context *context;
    struct pool_options options;
    struct shard_membership membership;
    char name[NAME_SIZE];
    char host[HOST_SIZE];
    struct roster roster;
    struct plan_history *history;
    struct shard *shards;
    struct sweep sweep;
    struct probe probe;
    struct loop_timer *heartbeat;
    struct leaving leaving;
    struct pool_db_refusal refusal;
    bool asking;         /* a heartbeat or a join is under way */
    bool freeing;        /* a request to free a shard is under way */
    bool suspended;      /* we closed the broker's connection because the database is away */
    uint64_t sent_ms;    /* when the newest heartbeat was sent */
    uint64_t success_ms; /* when the newest that succeeded was sent */
};

/* ---- the plan ---- */

static void assign(struct pool *pool)
{
    if (roster_assign(&pool->roster) < 0)
        log_error("assignment not renewed: out of memory");
    else if (pool->roster.reassigned)
        log_info("members of the pool changed", LOG_INT("members", pool->roster.assigned_count));
}

static struct plan plan_of(struct pool *pool, uint32_t number)
{
    const struct ownership *ownership = &pool->shards[number].ownership;
    const struct plan_view view = {.self = pool->membership.id,
                                   .now_ms = clock_mono_ms(),
                                   .leaving = pool->membership.leaving,
                                   .reassigned = pool->roster.reassigned,
                                   .liveness = &pool->roster.liveness};
    const struct plan_shard shard = {.place = pool->roster.places[number],
                                     .owner = pool->roster.entries[number].owner,
                                     .epoch = pool->roster.entries[number].epoch,
                                     .held = ownership_held(ownership),
                                     .taken_ms = ownership->taken_ms};
    return plan_shard(&view, &shard, &pool->history[number]);
}

static void carry_out(struct pool *pool, uint32_t number)
{
    struct shard *shard = &pool->shards[number];
    struct plan plan = plan_of(pool, number);
    shard_want(shard, plan.assigned, plan.wanted);
    if (SEEDED_BUG_IS(EAGER) && pool->roster.places[number].standby == pool->membership.id)
        shard_take_over(shard, "seeded", ORDERS_DB_ANY_EPOCH);
    switch (plan.step) {
    case PLAN_KEEP:
        return;
    case PLAN_YIELD:
        shard_yield(shard, plan.why,
                    pool->membership.leaving ? LEAVE_PATIENCE_MS : YIELD_PATIENCE_MS,
                    plan.pause_ms);
        return;
    case PLAN_TAKE:
        shard_take_over(shard, plan.why, plan.epoch);
        return;
    case PLAN_TAKE_BACK:
        shard_take_over(shard, plan.why, ORDERS_DB_IF_OURS);
        return;
    }
}

static void carry_out_all(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->context->shards; i++) {
        int64_t epoch = pool->roster.entries[i].epoch;
        if (SEEDED_BUG_IS(NO_FENCE) && ownership_behind(&pool->shards[i].ownership, epoch))
            continue; /* as if it were still ours */
        if (!pool->membership.leaving)
            shard_seen(&pool->shards[i], epoch);
        carry_out(pool, i);
    }
}

/* ---- heartbeats ---- */

/* Sent before the heartbeat: each owner in it has joined before that lists the members. */
static void owners_read(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    int64_t serving = pool_db_read_owners(result, &pool->roster);
    if (serving > 0)
        pool->options.wrong_shards(serving, pool->options.arg);
}

static void database_answers(struct pool *pool)
{
    pool->success_ms = pool->sent_ms;
    pool->refusal.why[0] = '\0';
    if (pool->suspended && !pool->membership.leaving) {
        pool->suspended = false;
        broker_resume(pool->context->broker);
    }
}

/* We take over again, under the new id, what we served under the old one. */
static void removed(struct pool *pool)
{
    log_warning("removed from the pool as dead: joining again");
    pool->membership.id = 0;
    for (uint32_t i = 0; i < pool->context->shards; i++)
        shard_disown(&pool->shards[i]);
}

static void heartbeat_answered(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    pool_db_refused(&pool->refusal, result);
    if (pg_status(result) != PG_OK)
        return;
    database_answers(pool);
    struct member_row rows[LIVENESS_MAX];
    size_t count = pool_db_members(result, rows);
    if (!roster_observe(&pool->roster, rows, count, clock_mono_ms())) {
        removed(pool);
        return;
    }
    assign(pool);
    carry_out_all(pool);
    if (pool->membership.leaving)
        leaving_check(&pool->leaving);
    sweep_run(&pool->sweep);
}

static void shard_fenced(uint32_t shard, int64_t epoch, void *arg)
{
    struct pool *pool = arg;
    probe_fenced(&pool->probe, shard, epoch);
}

static void send_heartbeat(struct pool *pool)
{
    struct pg *session = pool->options.heartbeat;
    pool->sent_ms = clock_mono_ms();
    pool->asking = pool_db_owners(session, pool->context->shards, owners_read, pool) == 0 &&
                   pool_db_heartbeat(session, pool->membership.id, probe_judge(&pool->probe),
                                     probe_node(&pool->probe), pool->options.sessions,
                                     pool->options.session_count, heartbeat_answered, pool) == 0;
}

static void joined(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("cannot join the pool; did you run checkoutctl migrate?",
                      LOG_STR("problem", pg_message(result)));
        return;
    }
    pool->membership.id = pg_int(result, 0, 0);
    roster_join(&pool->roster, pool->membership.id);
    log_info("joined the pool", LOG_INT("member", pool->membership.id));
    send_heartbeat(pool);
}

static void service_read(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    bool read = pg_status(result) == PG_OK; /* else joining reports the problem */
    uint32_t serving = read ? shards_serving_read(result) : pool->context->shards;
    if (serving == 0)
        log_error(SHARDS_NONE_SERVE);
    else if (serving != pool->context->shards)
        pool->options.wrong_shards(serving, pool->options.arg);
}

static void join(struct pool *pool)
{
    const struct pool_options *o = &pool->options;
    pool->asking = pool_db_service(o->heartbeat, service_read, pool) == 0 &&
                   pool_db_join(o->heartbeat, pool->name, pool->host, o->shards, joined, pool) == 0;
}

/* The broker must not feed a member that cannot write. */
static void leave_broker_without_database(struct pool *pool)
{
    if (SEEDED_BUG_IS(NO_FENCE) || pool->suspended || pool->membership.leaving ||
        pool->membership.id == 0 || clock_mono_ms() - pool->success_ms < DATABASE_LOST_MS)
        return;
    pool->suspended = true;
    broker_suspend(pool->context->broker, "the database does not answer");
}

static void heartbeat_due(void *arg)
{
    struct pool *pool = arg;
    leave_broker_without_database(pool);
    if (pool->asking || pool->leaving.done || !pg_is_up(pool->options.heartbeat))
        return;
    if (pool->membership.id != 0)
        send_heartbeat(pool);
    else if (!pool->membership.leaving)
        join(pool);
}

/* A command was written; the payload is its shard. Or the number of shards has changed. */
static void notified(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    struct pool *pool = arg;
    int64_t shard;
    if (strcmp(payload, "shards") == 0)
        heartbeat_due(pool); /* reads it */
    else if (parse_int(payload, 0, (int64_t)pool->context->shards - 1, &shard) == 0)
        shard_routing_commands(&pool->shards[shard].routing);
}

/* ---- what the servers say ---- */

void pool_heartbeat_up(struct pool *pool)
{
    pool->asking = false;
    pool->freeing = false;
    heartbeat_due(pool);
}

void pool_control_up(struct pool *pool)
{
    if (pool_db_listen(pool->options.control) < 0)
        log_warning("no notifications of commands; only the sweep finds them");
}

void pool_session_up(struct pool *pool, const struct pg *session)
{
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (pool->shards[i].session == session)
            shard_session_up(&pool->shards[i]);
}

void pool_session_lost(struct pool *pool, const struct pg *session)
{
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (pool->shards[i].session == session)
            shard_session_lost(&pool->shards[i]);
}

void pool_broker_up(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->context->shards; i++)
        shard_channel_broker_up(&pool->shards[i].channel);
    heartbeat_due(pool); /* tell the others that we are ready */
}

struct shard_routing *pool_routing(struct pool *pool, uint32_t shard)
{
    return &pool->shards[shard].routing;
}

bool pool_ready(const struct pool *pool, struct buf *ret_why)
{
    const char *lack = NULL;
    if (!pg_is_up(pool->options.heartbeat))
        lack = "PostgreSQL is not connected";
    else if (pool->membership.id == 0)
        lack = "not a member of the pool yet";
    else if (clock_mono_ms() - pool->success_ms >= DATABASE_LOST_MS)
        lack = "PostgreSQL has taken no heartbeat for 5 s";
    else if (broker_state(pool->context->broker) == BROKER_DOWN)
        lack = "RabbitMQ is not connected";
    if (lack == NULL)
        return probe_ready(&pool->probe, ret_why);
    const char *why = pool->refusal.why;
    (void)buf_printf(ret_why, "%s%s%s\n", lack, why[0] == '\0' ? "" : ": ", why);
    return false;
}

/* ---- a take-over that waits, and leaving ---- */

static void shard_freed(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->freeing = false;
    if (pg_status(result) == PG_OK)
        log_warning("take-over waits: ended sessions that hold the shard",
                    LOG_INT("sessions", pg_int(result, 0, 0)));
    else if (pg_status(result) == PG_ERROR)
        log_error("take-over waits, and we cannot end the sessions that hold the shard; do all "
                  "consumers log in to PostgreSQL as the same user?",
                  LOG_STR("problem", pg_message(result)));
}

/* Who holds the row for so long is frozen, or gone unnoticed; it may be an old session of ours. */
static void take_over_waits(uint32_t number, void *arg)
{
    struct pool *pool = arg;
    int64_t owner = pool->roster.entries[number].owner;
    bool alive = owner == 0 || liveness_alive(&pool->roster.liveness, owner);
    if (pool->freeing) /* one at a time: a late one would end another session */
        return;
    pool->freeing = pool_db_free_shard(pool->options.heartbeat, pool->shards[number].session,
                                       alive ? 0 : owner, shard_freed, pool) == 0;
    if (!pool->freeing)
        log_warning("take-over waits for its shard", LOG_INT("shard", number));
}

static void shard_released(uint32_t shard, void *arg)
{
    (void)shard;
    struct pool *pool = arg;
    if (pool->membership.leaving)
        leaving_check(&pool->leaving);
}

/* The others assign without us; we keep the shards that no other takes. */
static void shard_outdated(void *arg)
{
    struct pool *pool = arg;
    probe_outdated(&pool->probe);
}

void pool_leave(struct pool *pool)
{
    if (pool->membership.leaving)
        return;
    pool->membership.leaving = true;
    leaving_begin(&pool->leaving);
    if (pool->membership.id != 0 && !pool->asking && pg_is_up(pool->options.heartbeat))
        send_heartbeat(pool); /* not ready any more: the others assign without us */
    carry_out_all(pool);
    leaving_check(&pool->leaving);
}

/* ---- life ---- */

static void name_ourselves(struct pool *pool)
{
    if (gethostname(pool->host, sizeof pool->host - 1) != 0)
        (void)snprintf(pool->host, sizeof pool->host, "unknown");
    if (pool->options.name[0] != '\0')
        (void)snprintf(pool->name, sizeof pool->name, "%s", pool->options.name);
    else
        (void)snprintf(pool->name, sizeof pool->name, "%s:%d", pool->host, (int)getpid());
}

static bool make_shards(struct pool *pool)
{
    const struct shard_context *context = pool->context;
    bool complete = true;
    pool->history = calloc(context->shards, sizeof *pool->history);
    pool->shards = calloc(context->shards, sizeof *pool->shards);
    if (pool->history == NULL || pool->shards == NULL)
        return false;
    for (uint32_t i = 0; i < context->shards; i++)
        if (shard_init(&pool->shards[i], context, &pool->membership, i,
                       pool->options.sessions[i % pool->options.session_count]) < 0)
            complete = false;
    return complete;
}

static bool make_parts(struct pool *pool)
{
    const struct shard_context *context = pool->context;
    pool->heartbeat = loop_timer_new(context->loop, heartbeat_due, pool);
    if (pool->heartbeat == NULL || !make_shards(pool) ||
        roster_init(&pool->roster, context->shards) < 0 ||
        sweep_init(&pool->sweep, pool->options.control, pool->shards, context->shards,
                   context->stats) < 0)
        return false;
    pool->leaving = (struct leaving){.session = pool->options.heartbeat,
                                     .membership = &pool->membership,
                                     .shards = pool->shards,
                                     .shard_count = context->shards,
                                     .left = pool->options.left,
                                     .arg = pool->options.arg};
    const struct probe_targets targets = {.broker = context->broker,
                                          .membership = &pool->membership,
                                          .roster = &pool->roster,
                                          .shards = pool->shards,
                                          .control = pool->options.control,
                                          .outbox = pool->options.outbox,
                                          .sessions = pool->options.sessions,
                                          .session_count = pool->options.session_count};
    return leaving_init(&pool->leaving, context->loop) == 0 &&
           probe_init(&pool->probe, &targets) == 0;
}

struct pool *pool_new(const struct shard_context *context, const struct pool_options *options)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->context = context;
    pool->options = *options;
    pool->membership = (struct shard_membership){.take_over_waits = take_over_waits,
                                                 .released = shard_released,
                                                 .outdated = shard_outdated,
                                                 .fenced = shard_fenced,
                                                 .arg = pool};
    name_ourselves(pool);
    if (!make_parts(pool)) {
        pool_free(pool);
        return NULL;
    }
    pg_on_notify(options->control, notified, pool);
    loop_timer_start(pool->heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    for (uint32_t i = 0; pool->shards != NULL && i < pool->context->shards; i++)
        shard_free(&pool->shards[i]);
    loop_timer_free(pool->heartbeat);
    leaving_free(&pool->leaving);
    free(pool->history);
    free(pool->shards);
    sweep_free(&pool->sweep);
    roster_free(&pool->roster);
    probe_free(&pool->probe);
    free(pool);
}
