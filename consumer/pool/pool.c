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
#include "consumer/pool/plan.h"
#include "consumer/pool/pool_db.h"
#include "consumer/shard/sweep.h"

#define HEARTBEAT_MS 1000
#define DATABASE_LOST_MS 5000
#define YIELD_PATIENCE_MS 200
#define LEAVE_PATIENCE_MS 6000
#define LEAVE_AT_MOST_MS 9000
#define NAME_SIZE 160
#define HOST_SIZE 128

/* A shard as PostgreSQL had it when it was last read. */
struct seen {
    int64_t owner; /* 0: released */
    int64_t epoch;
};

struct pool {
    const struct shard_context *context;
    struct pool_options options;
    struct shard_membership membership;
    bool outdated; /* a task was met that this version does not know: not ready until it is replaced
                    */
    char name[NAME_SIZE];
    char host[HOST_SIZE];
    struct liveness liveness;
    int64_t assigned[LIVENESS_MAX]; /* the members that `places` was made from */
    size_t assigned_count;
    bool reassigned; /* at the newest heartbeat */
    struct assignment_place *places;
    struct seen *seen;
    struct shard *shards;
    struct sweep sweep;
    struct loop_timer *heartbeat;
    struct loop_timer *leave_limit;
    bool asking; /* a heartbeat or a join is on its way */
    bool leave_sent;
    bool left;
    bool suspended;      /* we closed the broker's connection because the database is away */
    uint64_t sent_ms;    /* when the newest heartbeat was sent */
    uint64_t success_ms; /* when the newest that succeeded was sent */
};

static void leave_if_empty(struct pool *pool);

/* ---- the plan ---- */

static void assign(struct pool *pool)
{
    int64_t ids[LIVENESS_MAX];
    size_t count = liveness_ready_ids(&pool->liveness, ids);
    pool->reassigned =
        count != pool->assigned_count || memcmp(ids, pool->assigned, count * sizeof *ids) != 0;
    if (!pool->reassigned)
        return;
    if (assignment_assign(ids, count, pool->context->shards, pool->places) < 0) {
        log_error("out of memory: the assignment stays as it was");
        return;
    }
    memcpy(pool->assigned, ids, count * sizeof *ids);
    pool->assigned_count = count;
    log_info("the pool's ready members have changed", LOG_INT("members", count));
}

static struct plan plan_of(const struct pool *pool, uint32_t number)
{
    const struct ownership *ownership = &pool->shards[number].ownership;
    const struct plan_view view = {.self = pool->membership.id,
                                   .leaving = pool->membership.leaving,
                                   .reassigned = pool->reassigned,
                                   .liveness = &pool->liveness};
    const struct plan_shard shard = {.place = pool->places[number],
                                     .owner = pool->seen[number].owner,
                                     .epoch = pool->seen[number].epoch,
                                     .held = ownership_held(ownership),
                                     .served_ms = clock_mono_ms() - ownership->taken_ms};
    return plan_shard(&view, &shard);
}

static void carry_out(struct pool *pool, uint32_t number)
{
    struct shard *shard = &pool->shards[number];
    struct plan plan = plan_of(pool, number);
    shard_want(shard, plan.assigned, plan.wanted);
    if (SEEDED_BUG_IS(EAGER) && pool->places[number].standby == pool->membership.id)
        shard_take_over(shard, "seeded", ORDERS_DB_ANY_EPOCH);
    switch (plan.step) {
    case PLAN_KEEP:
        return;
    case PLAN_YIELD:
        shard_yield(shard, plan.why,
                    pool->membership.leaving ? LEAVE_PATIENCE_MS : YIELD_PATIENCE_MS);
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
        if (!SEEDED_BUG_IS(NO_FENCE) && !pool->membership.leaving)
            shard_seen(&pool->shards[i], pool->seen[i].epoch);
        carry_out(pool, i);
    }
}

/* ---- heartbeats ---- */

/* Asked for before the heartbeat, so that whoever owns a shard here has joined before the members
 * were listed. */
static void owners_read(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    for (int row = 0; pg_status(result) == PG_OK && row < pg_rows(result); row++) {
        int64_t shard = pg_int(result, row, 0);
        if (shard >= 0 && shard < pool->context->shards)
            pool->seen[shard] = (struct seen){pg_int(result, row, 1), pg_int(result, row, 2)};
    }
}

static void database_answers(struct pool *pool)
{
    pool->success_ms = pool->sent_ms;
    if (pool->suspended && !pool->membership.leaving) {
        pool->suspended = false;
        broker_resume(pool->context->broker);
    }
}

/* Whatever was served under the old number is taken over under the new one. */
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
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("heartbeat refused by the database", LOG_STR("problem", pg_message(result)));
        return;
    }
    database_answers(pool);
    struct member_row rows[LIVENESS_MAX];
    size_t count = pool_db_members(result, rows);
    liveness_observe(&pool->liveness, rows, count, clock_mono_ms());
    if (!liveness_alive(&pool->liveness, pool->membership.id)) {
        removed(pool);
        return;
    }
    assign(pool);
    carry_out_all(pool);
    if (pool->membership.leaving)
        leave_if_empty(pool);
    sweep_run(&pool->sweep);
}

static bool is_ready(const struct pool *pool)
{
    return broker_state(pool->context->broker) != BROKER_DOWN && !pool->membership.leaving &&
           !pool->outdated;
}

static void send_heartbeat(struct pool *pool)
{
    struct pg *control = pool->options.control;
    pool->sent_ms = clock_mono_ms();
    pool->asking =
        pool_db_owners(control, pool->context->shards, owners_read, pool) == 0 &&
        pool_db_heartbeat(control, pool->membership.id, is_ready(pool), pool->options.sessions,
                          pool->options.session_count, heartbeat_answered, pool) == 0;
}

static void joined(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("cannot join the pool; are the tables there (checkoutctl migrate)?",
                      LOG_STR("problem", pg_message(result)));
        return;
    }
    pool->membership.id = pg_int(result, 0, 0);
    liveness_init(&pool->liveness, pool->membership.id);
    pool->assigned_count = 0;
    log_info("joined the pool", LOG_INT("member", pool->membership.id));
    send_heartbeat(pool);
}

static void service_read(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    if (pg_status(result) != PG_OK)
        return; /* joining says what is wrong */
    if (pg_rows(result) == 0)
        log_error("no shards are in service yet: run checkoutctl topology");
    else if (pg_int(result, 0, 0) != pool->context->shards)
        pool->options.wrong_shards(pg_int(result, 0, 0), pool->options.arg);
}

static void join(struct pool *pool)
{
    struct pg *control = pool->options.control;
    pool->asking = pool_db_service(control, service_read, pool) == 0 &&
                   pool_db_join(control, pool->name, pool->host, joined, pool) == 0;
}

/* A broker must not feed a member that cannot write. */
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
    if (pool->asking || pool->left || !pg_is_up(pool->options.control))
        return;
    if (pool->membership.id != 0)
        send_heartbeat(pool);
    else if (!pool->membership.leaving)
        join(pool);
}

/* A command was written; the payload is its shard. */
static void notified(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    struct pool *pool = arg;
    int64_t shard;
    if (parse_int(payload, 0, (int64_t)pool->context->shards - 1, &shard) == 0)
        shard_routing_commands(&pool->shards[shard].routing);
}

/* ---- what the servers say ---- */

void pool_control_up(struct pool *pool)
{
    pool->asking = false;
    if (pool_db_listen(pool->options.control) < 0)
        log_warning("commands are found by the sweep alone");
    heartbeat_due(pool);
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

bool pool_joined(const struct pool *pool, struct buf *ret_why)
{
    if (pool->membership.id == 0) {
        (void)buf_str(ret_why, "not a member of the pool yet\n");
        return false;
    }
    if (clock_mono_ms() - pool->success_ms >= DATABASE_LOST_MS) {
        (void)buf_str(ret_why, "PostgreSQL has not answered a heartbeat for 5 s\n");
        return false;
    }
    if (pool->outdated) {
        (void)buf_str(ret_why, "the database has a task that this version does not know\n");
        return false;
    }
    return true;
}

/* ---- a take-over that waits, and leaving ---- */

static void shard_freed(const struct pg_result *result, void *arg)
{
    (void)arg;
    if (pg_status(result) == PG_OK)
        log_warning("a take-over waits: ended sessions that hold the shard",
                    LOG_INT("sessions", pg_int(result, 0, 0)));
    else if (pg_status(result) == PG_ERROR)
        log_error("a take-over waits, and the sessions that hold the shard cannot be ended; do all "
                  "consumers log in to PostgreSQL as the same user?",
                  LOG_STR("problem", pg_message(result)));
}

/* Whoever holds the row for so long is frozen, or gone without the server having noticed; it may be
 * an old session of our own. */
static void take_over_waits(uint32_t number, void *arg)
{
    struct pool *pool = arg;
    int64_t owner = pool->seen[number].owner;
    bool alive = owner == 0 || liveness_alive(&pool->liveness, owner);
    if (pool_db_free_shard(pool->options.control, pool->shards[number].session, alive ? 0 : owner,
                           shard_freed, NULL) < 0)
        log_warning("a take-over waits for its shard", LOG_INT("shard", number));
}

static void finish_leaving(struct pool *pool)
{
    if (pool->left)
        return;
    pool->left = true;
    loop_timer_stop(pool->leave_limit);
    pool->options.left(pool->options.arg);
}

static void leave_answered(const struct pg_result *result, void *arg)
{
    (void)result; /* if it is lost, our heartbeats stop all the same */
    finish_leaving(arg);
}

static void leave_limit_due(void *arg)
{
    log_warning("leaving with work unfinished; it is in the tables");
    finish_leaving(arg);
}

static void leave_if_empty(struct pool *pool)
{
    if (pool->left || pool->leave_sent)
        return;
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (ownership_held(&pool->shards[i].ownership))
            return;
    pool->leave_sent = true;
    if (pool->membership.id == 0 ||
        pool_db_leave(pool->options.control, pool->membership.id, leave_answered, pool) < 0)
        finish_leaving(pool);
}

static void shard_released(uint32_t shard, void *arg)
{
    (void)shard;
    struct pool *pool = arg;
    if (pool->membership.leaving)
        leave_if_empty(pool);
}

/* The others assign without us; what they do not want we keep. */
static void shard_outdated(void *arg)
{
    struct pool *pool = arg;
    pool->outdated = true;
}

void pool_leave(struct pool *pool)
{
    if (pool->membership.leaving)
        return;
    pool->membership.leaving = true;
    loop_timer_start(pool->leave_limit, LEAVE_AT_MOST_MS, 0);
    if (pool->membership.id != 0 && !pool->asking && pg_is_up(pool->options.control))
        send_heartbeat(pool); /* not ready any more: the others assign without us */
    carry_out_all(pool);
    leave_if_empty(pool);
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

static bool make_parts(struct pool *pool)
{
    const struct shard_context *context = pool->context;
    pool->places = calloc(context->shards, sizeof *pool->places);
    pool->seen = calloc(context->shards, sizeof *pool->seen);
    pool->heartbeat = loop_timer_new(context->loop, heartbeat_due, pool);
    pool->leave_limit = loop_timer_new(context->loop, leave_limit_due, pool);
    pool->shards = calloc(context->shards, sizeof *pool->shards);
    if (pool->places == NULL || pool->seen == NULL || pool->heartbeat == NULL ||
        pool->leave_limit == NULL || pool->shards == NULL)
        return false;
    bool complete =
        sweep_init(&pool->sweep, pool->options.control, pool->shards, context->shards) == 0;
    for (uint32_t i = 0; i < context->shards; i++)
        if (shard_init(&pool->shards[i], context, &pool->membership, i,
                       pool->options.sessions[i % pool->options.session_count]) < 0)
            complete = false;
    return complete;
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
    loop_timer_free(pool->leave_limit);
    free(pool->places);
    free(pool->seen);
    sweep_free(&pool->sweep);
    free(pool->shards);
    free(pool);
}
