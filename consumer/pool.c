#include "consumer/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/plant.h"
#include "common/shard.h"
#include "common/version.h"
#include "consumer/members.h"
#include "consumer/rank.h"

#define BEAT_MS 1000
#define DATABASE_LOST_MS 5000
#define YIELD_PATIENCE_MS 200
#define LEAVE_PATIENCE_MS 6000
#define LEAVE_AT_MOST_MS 9000
#define SWEEP_PAYMENT_AGE_MS 5000
#define SWEEP_PAYMENTS_MAX 4096
#define SWEEP_CANCELS_MAX 1000
#define NUMBER_SIZE 24
#define HOST_SIZE 128

struct pool {
    struct shard_context *context;
    struct pool_options options;
    char name[HOST_SIZE + NUMBER_SIZE];
    char host[HOST_SIZE];
    struct members members;
    int64_t ranked[MEMBERS_MAX]; /* the members that `places` was made from */
    size_t ranked_count;
    struct rank_place *places;
    int64_t *owners; /* of each shard by the newest look; 0: released */
    struct shard *shards;
    uint32_t *serving_list;
    int64_t cancels_seen; /* how far the sweep has come in cancels without a shard */
    struct loop_timer *beat;
    struct loop_timer *leave_limit;
    bool asking; /* a beat or a join is on its way */
    bool leaving;
    bool left;
    bool suspended;     /* we closed the broker's connection because the database is away */
    uint64_t beaten_ms; /* when the newest beat that succeeded was sent */
    uint64_t sent_ms;
};

static const struct db_statement service_statement = {"service",
                                                      "select shards from checkout.service", 0};
static const struct db_statement join_statement = {
    "join_pool", "select checkout.join_pool($1::text, $2::text, $3::integer, $4::text)", 4};
static const struct db_statement beat_statement = {
    "beat",
    "select member_id, beat, ready, locked from checkout.beat($1::bigint, $2::boolean,"
    " $3::integer[])",
    3};
static const struct db_statement owners_statement = {
    "owners", "select shard, owner from checkout.shards where shards = $1::integer", 1};
static const struct db_statement leave_statement = {"leave_pool",
                                                    "select checkout.leave_pool($1::bigint)", 1};
static const struct db_statement listen_statement = {"listen", "listen checkout_commands", 0};
static const struct db_statement terminate_statement = {
    "terminate_member", "select checkout.terminate_member($1::bigint)", 1};

/* ---- ranking ---- */

static bool same_members(const struct pool *pool, const int64_t *ids, size_t count)
{
    return count == pool->ranked_count && memcmp(ids, pool->ranked, count * sizeof *ids) == 0;
}

static void rank(struct pool *pool)
{
    int64_t ids[MEMBERS_MAX];
    size_t count = members_ready_ids(&pool->members, ids);
    if (same_members(pool, ids, count))
        return;
    if (rank_assign(ids, count, pool->context->shards, pool->places) < 0) {
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
        const struct rank_place *place = &pool->places[i];
        struct shard *shard = &pool->shards[i];
        /* while nobody is ready, what we hold stays ours */
        bool wanted = place->owner == self || place->standby == self ||
                      (place->owner == RANK_NOBODY && shard_held(shard));
        shard_want(shard, wanted && !pool->leaving);
        if (pool->leaving)
            shard_yield(shard, "leaving", LEAVE_PATIENCE_MS);
        else if (place->owner != self && place->owner != RANK_NOBODY &&
                 members_ready(&pool->members, place->owner))
            shard_yield(shard, "another member is its named owner", YIELD_PATIENCE_MS);
    }
}

/* The named owner takes over what is released, or whose owner is dead. And whoever has its name on
 * a shard that it does not hold (an answer was lost) takes it again: nobody else will while it
 * lives. */
static void take_what_is_ours(struct pool *pool)
{
    int64_t self = pool->context->member;
    for (uint32_t i = 0; i < pool->context->shards && !pool->leaving; i++) {
        int64_t owner = pool->owners[i];
        if (owner == self)
            shard_take_over(&pool->shards[i], "it was ours");
        else if (PLANT_IS(EAGER) && pool->places[i].standby == self)
            shard_take_over(&pool->shards[i], "planted");
        else if (pool->places[i].owner != self)
            continue;
        else if (owner == 0)
            shard_take_over(&pool->shards[i], "it was released");
        else if (!members_alive(&pool->members, owner))
            shard_take_over(&pool->shards[i], "its owner is dead");
    }
}

/* ---- the sweep ---- */

static void found_payment(const struct counter_effect *effect, void *arg)
{
    struct pool *pool = arg;
    uint32_t number = shard_of(effect->sku, strlen(effect->sku), pool->context->shards);
    shard_found_payment(&pool->shards[number], effect);
}

static void payments_swept(const struct db_result *result, void *arg)
{
    if (db_status(result) == DB_OK)
        counter_each_effect(result, found_payment, arg);
}

static void overdue_swept(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    if (db_status(result) != DB_OK)
        return;
    for (int row = 0; row < db_rows(result); row++) {
        struct shard *shard = &pool->shards[db_int(result, row, 0)];
        const char *kind = db_text(result, row, 1);
        if (strcmp(kind, "expired") == 0)
            shard_found_expired(shard);
        else if (strcmp(kind, "command") == 0)
            shard_found_commands(shard);
        else
            shard_found_line(shard, db_text(result, row, 2));
    }
}

static void cancels_placed(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    if (db_status(result) == DB_OK) /* their owners are notified, and find them in their sweeps */
        pool->cancels_seen = db_int(result, 0, 0);
}

static void sweep(struct pool *pool)
{
    size_t count = 0;
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (shard_serving(&pool->shards[i]))
            pool->serving_list[count++] = i;
    if (count == 0)
        return;
    struct db *control = pool->options.control;
    if (counter_place_cancels(control, pool->cancels_seen, SWEEP_CANCELS_MAX, cancels_placed,
                              pool) < 0 ||
        counter_overdue(control, pool->context->shards, pool->serving_list, count, overdue_swept,
                        pool) < 0 ||
        counter_open_payments(control, pool->serving_list, count, SWEEP_PAYMENT_AGE_MS,
                              SWEEP_PAYMENTS_MAX, payments_swept, pool) < 0)
        log_debug("the sweep waits for the next beat");
}

/* ---- beats ---- */

static void owners_seen(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    if (db_status(result) != DB_OK)
        return;
    for (int row = 0; row < db_rows(result); row++) {
        int64_t shard = db_int(result, row, 0);
        if (shard >= 0 && shard < pool->context->shards)
            pool->owners[shard] = db_int(result, row, 1);
    }
    apply_ranking(pool);
    take_what_is_ours(pool);
    sweep(pool);
}

static void take_rows(struct pool *pool, const struct db_result *result)
{
    struct member_row rows[MEMBERS_MAX];
    size_t count = 0;
    for (int row = 0; row < db_rows(result) && count < MEMBERS_MAX; row++)
        rows[count++] = (struct member_row){.id = db_int(result, row, 0),
                                            .beat = db_int(result, row, 1),
                                            .ready = db_bool(result, row, 2),
                                            .locked = db_bool(result, row, 3)};
    members_observe(&pool->members, rows, count, clock_mono_ms());
}

static void database_answers(struct pool *pool)
{
    pool->beaten_ms = pool->sent_ms;
    if (pool->suspended && !pool->leaving) {
        pool->suspended = false;
        bus_resume(pool->context->bus);
    }
}

static void beaten(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    if (db_status(result) != DB_OK) {
        pool->asking = false;
        if (db_status(result) == DB_ERROR)
            log_error("the beat is refused", LOG_STR("problem", db_message(result)));
        return;
    }
    database_answers(pool);
    take_rows(pool, result);
    if (!members_alive(&pool->members, pool->context->member)) {
        log_warning("we were taken for dead and removed: joining again");
        pool->context->member = 0;
        pool->asking = false;
        return;
    }
    rank(pool);
    char shards[NUMBER_SIZE];
    (void)snprintf(shards, sizeof shards, "%u", pool->context->shards);
    const char *params[] = {shards};
    if (db_query(pool->options.control, &owners_statement, params, owners_seen, pool) < 0)
        pool->asking = false;
}

static void send_beat(struct pool *pool)
{
    struct buf pids;
    buf_init(&pids, 4096);
    db_array_begin(&pids);
    for (size_t i = 0; i < pool->options.session_count; i++)
        db_array_int(&pids, db_backend_pid(pool->options.sessions[i]));
    db_array_end(&pids);
    char member[NUMBER_SIZE];
    (void)snprintf(member, sizeof member, "%" PRId64, pool->context->member);
    bool ready = bus_state(pool->context->bus) != BUS_DOWN && !pool->leaving;
    const char *params[] = {member, ready ? "true" : "false", buf_text(&pids)};
    pool->sent_ms = clock_mono_ms();
    pool->asking = db_query(pool->options.control, &beat_statement, params, beaten, pool) == 0;
    buf_free(&pids);
}

static void joined(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    pool->asking = false;
    if (db_status(result) != DB_OK) {
        if (db_status(result) == DB_ERROR)
            log_error("cannot join the pool; are the tables there (checkoutctl migrate)?",
                      LOG_STR("problem", db_message(result)));
        return;
    }
    pool->context->member = db_int(result, 0, 0);
    members_init(&pool->members, pool->context->member);
    pool->ranked_count = 0;
    log_info("joined the pool", LOG_INT("member", pool->context->member));
    send_beat(pool);
}

static void service_seen(const struct db_result *result, void *arg)
{
    struct pool *pool = arg;
    if (db_status(result) != DB_OK)
        return; /* joining says what is wrong */
    if (db_rows(result) == 0)
        log_error("no shards are in service yet: run checkoutctl topology");
    else if (db_int(result, 0, 0) != pool->context->shards)
        pool->options.wrong_shards(db_int(result, 0, 0), pool->options.arg);
}

static void join(struct pool *pool)
{
    if (db_query(pool->options.control, &service_statement, NULL, service_seen, pool) < 0)
        return;
    char pid[NUMBER_SIZE];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    const char *params[] = {pool->name, pool->host, pid, CHECKOUT_VERSION};
    pool->asking = db_query(pool->options.control, &join_statement, params, joined, pool) == 0;
}

/* A broker must not feed somebody who cannot write. */
static void leave_broker_without_database(struct pool *pool)
{
    if (pool->suspended || pool->leaving || pool->context->member == 0 ||
        clock_mono_ms() - pool->beaten_ms < DATABASE_LOST_MS)
        return;
    pool->suspended = true;
    bus_suspend(pool->context->bus, "the database does not answer");
}

static void beat_due(void *arg)
{
    struct pool *pool = arg;
    leave_broker_without_database(pool);
    if (pool->asking || pool->left || !db_is_up(pool->options.control))
        return;
    if (pool->context->member != 0)
        send_beat(pool);
    else if (!pool->leaving)
        join(pool);
}

/* A command was written; the payload is its shard. */
static void notified(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    struct pool *pool = arg;
    char *end;
    unsigned long shard = strtoul(payload, &end, 10);
    if (end != payload && *end == '\0' && shard < pool->context->shards)
        shard_found_commands(&pool->shards[shard]);
}

void pool_control_up(struct pool *pool)
{
    pool->asking = false;
    if (db_query(pool->options.control, &listen_statement, NULL, NULL, NULL) < 0)
        log_warning("commands are found by the sweep alone");
    beat_due(pool);
}

void pool_session_up(struct pool *pool, const struct db *session)
{
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (pool->shards[i].session == session)
            shard_session_up(&pool->shards[i]);
}

void pool_session_lost(struct pool *pool, const struct db *session)
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

static void terminated(const struct db_result *result, void *arg)
{
    (void)arg;
    if (db_status(result) == DB_OK)
        log_warning("ended the sessions of a member that holds a shard and does not answer",
                    LOG_INT("sessions", db_int(result, 0, 0)));
}

static void take_over_stuck(uint32_t shard, void *arg)
{
    struct pool *pool = arg;
    int64_t owner = pool->owners[shard];
    if (owner == 0 || owner == pool->context->member)
        return;
    char member[NUMBER_SIZE];
    (void)snprintf(member, sizeof member, "%" PRId64, owner);
    const char *params[] = {member};
    if (db_query(pool->options.control, &terminate_statement, params, terminated, NULL) < 0)
        log_warning("a take-over waits for its shard", LOG_INT("shard", shard));
}

static void finish_leaving(struct pool *pool)
{
    if (pool->left)
        return;
    pool->left = true;
    loop_timer_stop(pool->leave_limit);
    pool->options.left(pool->options.arg);
}

static void left_pool(const struct db_result *result, void *arg)
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
    for (uint32_t i = 0; i < pool->context->shards; i++)
        if (shard_held(&pool->shards[i]))
            return;
    char member[NUMBER_SIZE];
    (void)snprintf(member, sizeof member, "%" PRId64, pool->context->member);
    const char *params[] = {member};
    if (pool->context->member == 0 ||
        db_query(pool->options.control, &leave_statement, params, left_pool, pool) < 0)
        finish_leaving(pool);
}

static void shard_released(uint32_t shard, void *arg)
{
    (void)shard;
    struct pool *pool = arg;
    if (pool->leaving)
        leave_if_empty(pool);
}

void pool_leave(struct pool *pool)
{
    if (pool->leaving)
        return;
    pool->leaving = true;
    loop_timer_start(pool->leave_limit, LEAVE_AT_MOST_MS, 0);
    if (pool->context->member != 0 && !pool->asking && db_is_up(pool->options.control))
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
    pool->owners = calloc(context->shards, sizeof *pool->owners);
    pool->serving_list = calloc(context->shards, sizeof *pool->serving_list);
    pool->shards = calloc(context->shards, sizeof *pool->shards);
    pool->beat = loop_timer_new(context->loop, beat_due, pool);
    pool->leave_limit = loop_timer_new(context->loop, leave_limit_due, pool);
    bool complete = pool->places != NULL && pool->owners != NULL && pool->serving_list != NULL &&
                    pool->shards != NULL && pool->beat != NULL && pool->leave_limit != NULL;
    for (uint32_t i = 0; complete && i < context->shards; i++)
        complete = shard_init(&pool->shards[i], context, i,
                              options->sessions[i % options->session_count]) == 0;
    if (!complete) {
        log_error("out of memory");
        exit(EXIT_FAILURE); /* at the start, with nothing begun */
    }
    db_on_notify(options->control, notified, pool);
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
    free(pool->owners);
    free(pool->serving_list);
    free(pool->shards);
    free(pool);
}
