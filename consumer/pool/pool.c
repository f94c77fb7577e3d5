#include "consumer/pool/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/version.h"
#include "common/shop/assignment.h"
#include "common/testing/seeded_bug.h"
#include "consumer/pool/liveness.h"
#include "consumer/shard/sweep.h"

#define BEAT_MS 1000
#define DATABASE_LOST_MS 5000
#define YIELD_PATIENCE_MS 200
/* Younger ones are kept: by then the named owner has looked, and does not cross our take-over with
 * its own. (tests/model shows the two fencing each other off for ever.) */
#define YIELD_AGE_MS 2000
#define LEAVE_PATIENCE_MS 6000
#define LEAVE_AT_MOST_MS 9000
#define NUMBER_SIZE 24
#define HOST_SIZE 128

/* A shard as PostgreSQL had it when we looked. */
struct look {
    int64_t owner; /* 0: released */
    int64_t epoch;
};

struct pool {
    struct shard_context *context;
    struct pool_options options;
    char name[HOST_SIZE + NUMBER_SIZE];
    char host[HOST_SIZE];
    struct liveness members;
    int64_t ranked[LIVENESS_MAX]; /* the members that `places` was made from */
    size_t ranked_count;
    bool reranked; /* at the newest beat: the others may not have seen it yet */
    struct assignment_place *places;
    struct look *looks; /* of each shard, the newest */
    struct shard *shards;
    struct sweep sweep;
    struct loop_timer *beat;
    struct loop_timer *leave_limit;
    bool asking; /* a beat or a join is on its way */
    bool leave_sent;
    bool left;
    bool suspended;     /* we closed the broker's connection because the database is away */
    uint64_t beaten_ms; /* when the newest beat that succeeded was sent */
    uint64_t sent_ms;
};

static const struct pg_statement service_statement = {"service",
                                                      "select shards from checkout.service", 0};
static const struct pg_statement join_statement = {
    "join_pool", "select checkout.join_pool($1::text, $2::text, $3::integer, $4::text)", 4};
static const struct pg_statement beat_statement = {
    "beat",
    "select member_id, beat, ready, locked from checkout.beat($1::bigint, $2::boolean,"
    " $3::integer[])",
    3};
static const struct pg_statement owners_statement = {
    "owners", "select shard, owner, epoch from checkout.shards where shards = $1::integer", 1};
static const struct pg_statement leave_statement = {"leave_pool",
                                                    "select checkout.leave_pool($1::bigint)", 1};
static const struct pg_statement listen_statement = {"listen", "listen checkout_commands", 0};
static const struct pg_statement free_shard_statement = {
    "free_shard", "select checkout.free_shard($1::integer, $2::bigint)", 2};

/* ---- ranking ---- */

static bool same_members(const struct pool *pool, const int64_t *ids, size_t count)
{
    return count == pool->ranked_count && memcmp(ids, pool->ranked, count * sizeof *ids) == 0;
}

static void rank(struct pool *pool)
{
    int64_t ids[LIVENESS_MAX];
    size_t count = liveness_ready_ids(&pool->members, ids);
    pool->reranked = !same_members(pool, ids, count);
    if (!pool->reranked)
        return;
    if (assignment_assign(ids, count, pool->context->shards, pool->places) < 0) {
        log_error("out of memory: the ranking stays as it was");
        return;
    }
    memcpy(pool->ranked, ids, count * sizeof *ids);
    pool->ranked_count = count;
    log_info("the pool's ready members have changed", LOG_INT("members", count));
}

static void apply_ranking(struct pool *pool)
{
    int64_t self = pool->context->member;
    for (uint32_t i = 0; i < pool->context->shards; i++) {
        const struct assignment_place *place = &pool->places[i];
        struct shard *shard = &pool->shards[i];
        /* while nobody is ready, what we hold stays ours */
        bool wanted = place->owner == self || place->standby == self ||
                      (place->owner == ASSIGNMENT_NOBODY && shard_held(shard));
        shard_want(shard, place->owner, wanted && !pool->context->leaving);
        if (pool->context->leaving)
            shard_yield(shard, "leaving", LEAVE_PATIENCE_MS);
        else if (!pool->reranked && place->owner != self && place->owner != ASSIGNMENT_NOBODY &&
                 liveness_ready(&pool->members, place->owner) &&
                 clock_mono_ms() - shard->taken_ms >= YIELD_AGE_MS)
            shard_yield(shard, "another member is its named owner", YIELD_PATIENCE_MS);
    }
}

/* The named owner takes over what is released, or whose owner is dead. And whoever has its name on
 * a shard that it does not hold (an answer was lost) takes it again: nobody else will while it
 * lives. A look may be old when we act by it: what has moved on since is not taken. */
static void take_what_is_ours(struct pool *pool)
{
    int64_t self = pool->context->member;
    for (uint32_t i = 0; i < pool->context->shards; i++) {
        struct look look = pool->looks[i];
        if (!SEEDED_BUG_IS(NO_FENCE))
            shard_seen(&pool->shards[i], look.epoch);
        if (look.owner == self)
            shard_take_over(&pool->shards[i], "it was ours", ORDERS_DB_IF_OURS);
        else if (SEEDED_BUG_IS(EAGER) && pool->places[i].standby == self)
            shard_take_over(&pool->shards[i], "seeded", ORDERS_DB_ANY_EPOCH);
        else if (pool->places[i].owner != self)
            continue;
        else if (look.owner == 0)
            shard_take_over(&pool->shards[i], "it was released", look.epoch);
        else if (!liveness_alive(&pool->members, look.owner))
            shard_take_over(&pool->shards[i], "its owner is dead", look.epoch);
    }
}

/* ---- beats ---- */

static void leave_if_empty(struct pool *pool);

/* Asked for before the beat, so that whoever owns a shard here has joined before the members were
 * listed. */
static void owners_seen(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    for (int row = 0; pg_status(result) == PG_OK && row < pg_rows(result); row++) {
        int64_t shard = pg_int(result, row, 0);
        if (shard >= 0 && shard < pool->context->shards)
            pool->looks[shard] = (struct look){pg_int(result, row, 1), pg_int(result, row, 2)};
    }
}

static void take_rows(struct pool *pool, const struct pg_result *result)
{
    struct member_row rows[LIVENESS_MAX];
    size_t count = 0;
    for (int row = 0; row < pg_rows(result) && count < LIVENESS_MAX; row++)
        rows[count++] = (struct member_row){.id = pg_int(result, row, 0),
                                            .beat = pg_int(result, row, 1),
                                            .ready = pg_bool(result, row, 2),
                                            .locked = pg_bool(result, row, 3)};
    liveness_observe(&pool->members, rows, count, clock_mono_ms());
}

static void database_answers(struct pool *pool)
{
    pool->beaten_ms = pool->sent_ms;
    if (pool->suspended && !pool->context->leaving) {
        pool->suspended = false;
        broker_resume(pool->context->broker);
    }
}

/* Whatever was served under the old number is taken over under the new one. */
static void removed(struct pool *pool)
{
    log_warning("we were taken for dead and removed: joining again");
    pool->context->member = 0;
    for (uint32_t i = 0; i < pool->context->shards; i++)
        shard_disown(&pool->shards[i]);
}

static void beaten(const struct pg_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("the beat is refused", LOG_STR("problem", pg_message(result)));
        return;
    }
    database_answers(pool);
    take_rows(pool, result);
    if (!liveness_alive(&pool->members, pool->context->member)) {
        removed(pool);
        return;
    }
    rank(pool);
    apply_ranking(pool);
    if (pool->context->leaving)
        leave_if_empty(pool);
    else
        take_what_is_ours(pool);
    sweep_run(&pool->sweep);
}

static void send_beat(struct pool *pool)
{
    struct buf pids;
    buf_init(&pids, 4096);
    pg_array_begin(&pids);
    for (size_t i = 0; i < pool->options.session_count; i++)
        pg_array_int(&pids, pg_backend_pid(pool->options.sessions[i]));
    pg_array_end(&pids);
    char shards[NUMBER_SIZE], member[NUMBER_SIZE];
    (void)snprintf(shards, sizeof shards, "%u", pool->context->shards);
    (void)snprintf(member, sizeof member, "%" PRId64, pool->context->member);
    bool ready = broker_state(pool->context->broker) != BROKER_DOWN && !pool->context->leaving;
    const char *look_params[] = {shards};
    const char *params[] = {member, ready ? "true" : "false", buf_text(&pids)};
    pool->sent_ms = clock_mono_ms();
    struct pg *control = pool->options.control;
    pool->asking = pg_query(control, &owners_statement, look_params, owners_seen, pool) == 0 &&
                   pg_query(control, &beat_statement, params, beaten, pool) == 0;
    buf_free(&pids);
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
    pool->context->member = pg_int(result, 0, 0);
    liveness_init(&pool->members, pool->context->member);
    pool->ranked_count = 0;
    log_info("joined the pool", LOG_INT("member", pool->context->member));
    send_beat(pool);
}

static void service_seen(const struct pg_result *result, void *arg)
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
    if (pg_query(pool->options.control, &service_statement, NULL, service_seen, pool) < 0)
        return;
    char pid[NUMBER_SIZE];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    const char *params[] = {pool->name, pool->host, pid, CHECKOUT_VERSION};
    pool->asking = pg_query(pool->options.control, &join_statement, params, joined, pool) == 0;
}

/* A broker must not feed somebody who cannot write. */
static void leave_broker_without_database(struct pool *pool)
{
    if (SEEDED_BUG_IS(NO_FENCE) || pool->suspended || pool->context->leaving ||
        pool->context->member == 0 || clock_mono_ms() - pool->beaten_ms < DATABASE_LOST_MS)
        return;
    pool->suspended = true;
    broker_suspend(pool->context->broker, "the database does not answer");
}

static void beat_due(void *arg)
{
    struct pool *pool = arg;
    leave_broker_without_database(pool);
    if (pool->asking || pool->left || !pg_is_up(pool->options.control))
        return;
    if (pool->context->member != 0)
        send_beat(pool);
    else if (!pool->context->leaving)
        join(pool);
}

/* A command was written; the payload is its shard. */
static void notified(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    struct pool *pool = arg;
    int64_t shard;
    if (parse_int(payload, 0, (int64_t)pool->context->shards - 1, &shard) == 0)
        shard_found_commands(&pool->shards[shard]);
}

void pool_control_up(struct pool *pool)
{
    pool->asking = false;
    if (pg_query(pool->options.control, &listen_statement, NULL, NULL, NULL) < 0)
        log_warning("commands are found by the sweep alone");
    beat_due(pool);
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

void pool_bus_up(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->context->shards; i++)
        shard_bus_up(&pool->shards[i]);
    beat_due(pool); /* tell the others that we are ready */
}

struct shard *pool_shard(struct pool *pool, uint32_t number)
{
    return &pool->shards[number];
}

bool pool_joined(const struct pool *pool, struct buf *ret_why)
{
    if (pool->context->member == 0) {
        (void)buf_str(ret_why, "not a member of the pool yet\n");
        return false;
    }
    if (clock_mono_ms() - pool->beaten_ms >= DATABASE_LOST_MS) {
        (void)buf_str(ret_why, "PostgreSQL has not answered a beat for 5 s\n");
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
static void take_over_stuck(uint32_t number, void *arg)
{
    struct pool *pool = arg;
    int64_t owner = pool->looks[number].owner;
    char waiting[NUMBER_SIZE], dead[NUMBER_SIZE];
    (void)snprintf(waiting, sizeof waiting, "%d", pg_backend_pid(pool->shards[number].session));
    (void)snprintf(dead, sizeof dead, "%" PRId64, owner);
    bool alive = owner == 0 || liveness_alive(&pool->members, owner);
    const char *params[] = {waiting, alive ? NULL : dead};
    if (pg_query(pool->options.control, &free_shard_statement, params, shard_freed, NULL) < 0)
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

static void left_pool(const struct pg_result *result, void *arg)
{
    (void)result; /* if it is lost, our beats stop all the same */
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
        if (shard_held(&pool->shards[i]))
            return;
    pool->leave_sent = true;
    char member[NUMBER_SIZE];
    (void)snprintf(member, sizeof member, "%" PRId64, pool->context->member);
    const char *params[] = {member};
    if (pool->context->member == 0 ||
        pg_query(pool->options.control, &leave_statement, params, left_pool, pool) < 0)
        finish_leaving(pool);
}

static void shard_released(uint32_t shard, void *arg)
{
    (void)shard;
    struct pool *pool = arg;
    if (pool->context->leaving)
        leave_if_empty(pool);
}

void pool_leave(struct pool *pool)
{
    if (pool->context->leaving)
        return;
    pool->context->leaving = true;
    loop_timer_start(pool->leave_limit, LEAVE_AT_MOST_MS, 0);
    if (pool->context->member != 0 && !pool->asking && pg_is_up(pool->options.control))
        send_beat(pool); /* not ready any more: the others rank without us */
    apply_ranking(pool);
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

struct pool *pool_new(struct shard_context *context, const struct pool_options *options)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->context = context;
    pool->options = *options;
    context->stuck = take_over_stuck;
    context->released = shard_released;
    context->arg = pool;
    context->member = 0;
    name_ourselves(pool);
    pool->places = calloc(context->shards, sizeof *pool->places);
    pool->looks = calloc(context->shards, sizeof *pool->looks);
    pool->shards = calloc(context->shards, sizeof *pool->shards);
    pool->beat = loop_timer_new(context->loop, beat_due, pool);
    pool->leave_limit = loop_timer_new(context->loop, leave_limit_due, pool);
    bool complete =
        pool->places != NULL && pool->looks != NULL &&
        sweep_init(&pool->sweep, options->control, pool->shards, context->shards) == 0 &&
        pool->shards != NULL && pool->beat != NULL && pool->leave_limit != NULL;
    for (uint32_t i = 0; complete && i < context->shards; i++)
        complete = shard_init(&pool->shards[i], context, i,
                              options->sessions[i % options->session_count]) == 0;
    if (!complete) {
        log_error("out of memory");
        exit(EXIT_FAILURE); /* at the start, with nothing begun */
    }
    pg_on_notify(options->control, notified, pool);
    loop_timer_start(pool->beat, BEAT_MS, BEAT_MS);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    for (uint32_t i = 0; i < pool->context->shards; i++)
        shard_free(&pool->shards[i]);
    loop_timer_free(pool->beat);
    loop_timer_free(pool->leave_limit);
    free(pool->places);
    free(pool->looks);
    sweep_free(&pool->sweep);
    free(pool->shards);
    free(pool);
}
