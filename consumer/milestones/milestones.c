#include "consumer/milestones/milestones.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/milestone_writer.h"
#include "common/testing/seeded_bug.h"
#include "consumer/milestones/announced.h"
#include "consumer/milestones/milestone_fetch.h"

#define TICK_MS 100
#define LOOK_TICKS 10       /* whether others have found it behind */
#define SHARDS_OF_A_TICK 64 /* with more shards the newest milestone is asked for less often */
#define AGAIN_MS 500        /* after a comparison that was not possible */
#define LOG_EVERY_MS 10000
#define WHY_SIZE 320
#define QUERY_MAX ((size_t)64 * 1024 * 1024)

enum phase {
    PHASE_AWAY,    /* PostgreSQL is not connected */
    PHASE_READING, /* what RabbitMQ keeps */
    PHASE_JUDGING, /* PostgreSQL compares */
    PHASE_AGAIN,   /* waits for the next try */
    PHASE_FINE,    /* it is the newest */
    PHASE_BEHIND,  /* it is not */
};

struct milestones {
    struct milestones_options options;
    struct pool *pool;
    struct pool_options serving;
    struct milestone_fetch *fetch;
    struct milestone_writer *writer;
    struct loop_timer *timer;
    enum phase phase;
    uint64_t again_ms; /* monotonic */
    uint64_t logged_ms;
    char why[WHY_SIZE];
    uint64_t ticks;
    bool looking; /* a question of ours is open */
    bool asking;  /* for the newest milestone */
    int64_t kept; /* reserved, as the database knows */
    struct announced *announced;
    struct announced_database database; /* as it was compared */
    struct buf own;                     /* the milestone of what was published */
    struct buf query;
};

static const struct pg_statement judge = {"judge_database",
                                          "select problem, generation, system, timeline, shop"
                                          "  from checkout.judge_database($1::text[], $2)",
                                          2};
static const struct pg_statement look = {
    "database_problem", "select sqlstate_, problem from checkout.database_problem(true)", 0};
static const struct pg_statement milestone_now = {
    "milestone_now", "select milestone, reserved, kept from checkout.milestone_now()", 0};
static const struct pg_statement keep_reserved = {"keep_reserved",
                                                  "select checkout.keep_reserved($1::bigint)", 1};

static void begin(struct milestones *milestones);

/* ---- what this process remembers ---- */

static int64_t epoch_of(const struct milestones *milestones, uint32_t shard)
{
    return shard_routing_epoch(pool_routing(milestones->pool, shard));
}

static void remember(struct milestones *milestones)
{
    for (uint32_t i = 0; milestones->pool != NULL && i < milestones->options.shards; i++)
        announced_see(milestones->announced, i, epoch_of(milestones, i),
                      relay_announced(milestones->options.relay, i));
}

/* A restore was finished since. */
static void forget(struct milestones *milestones)
{
    for (uint32_t i = 0; i < milestones->options.shards; i++)
        announced_void(milestones->announced, i,
                       milestones->pool == NULL ? 0
                                                : relay_announced(milestones->options.relay, i));
}

/* A milestone of it; "" if the database was not compared yet. */
static const char *own_milestone(struct milestones *milestones)
{
    buf_reset(&milestones->own);
    announced_encode(milestones->announced, &milestones->database, &milestones->own);
    return milestones->own.failed ? "" : buf_text(&milestones->own);
}

/* ---- comparing ---- */

static void try_again(struct milestones *milestones, const char *what, const char *reason)
{
    milestones->phase = PHASE_AGAIN;
    milestones->again_ms = clock_mono_ms() + AGAIN_MS;
    (void)snprintf(milestones->why, sizeof milestones->why, "%s: %s", what, reason);
    if (log_due(&milestones->logged_ms, LOG_EVERY_MS))
        log_warning(
            "the database is not compared with the milestones: nothing is served from one that "
            "has started anew",
            LOG_STR("reason", milestones->why));
}

static void end_sessions(const struct pool_options *serving)
{
    if (serving->control != NULL)
        pg_reconnect(serving->control);
    if (serving->outbox != NULL)
        pg_reconnect(serving->outbox);
    for (size_t i = 0; i < serving->session_count; i++)
        pg_reconnect(serving->sessions[i]);
}

static void found_behind(struct milestones *milestones, const char *problem)
{
    bool news = milestones->phase != PHASE_BEHIND;
    milestones->phase = PHASE_BEHIND;
    (void)snprintf(milestones->why, sizeof milestones->why, "%s", problem);
    if (!news)
        return;
    log_error("nothing is served from this database", LOG_STR("reason", problem));
    end_sessions(&milestones->serving);
}

static void judged(const struct pg_result *result, void *arg)
{
    struct milestones *milestones = arg;
    if (pg_status(result) == PG_LOST || milestones->phase != PHASE_JUDGING)
        return; /* the next session begins again */
    if (pg_status(result) != PG_OK || pg_rows(result) != 1) {
        try_again(milestones, "PostgreSQL", pg_message(result));
        return;
    }
    struct announced_database *database = &milestones->database;
    if (database->generation != pg_int(result, 0, 1))
        forget(milestones);
    database->generation = pg_int(result, 0, 1);
    database->timeline = pg_int(result, 0, 3);
    (void)snprintf(database->system, sizeof database->system, "%s", pg_text(result, 0, 2));
    (void)snprintf(database->shop, sizeof database->shop, "%s", pg_text(result, 0, 4));
    if (!pg_null(result, 0, 0)) {
        found_behind(milestones, pg_text(result, 0, 0));
        return;
    }
    milestones->phase = PHASE_FINE;
    milestones->why[0] = '\0';
    log_info("the database is the newest, by the milestones");
}

static void read(const struct milestone_reading *reading, void *arg)
{
    struct milestones *milestones = arg;
    struct buf *query = &milestones->query;
    if (milestones->phase != PHASE_READING)
        return;
    if (reading->code == ERR_UNAVAILABLE) {
        try_again(milestones, "milestones in RabbitMQ", reading->problem);
        return;
    }
    if (reading->code < 0)
        log_error(
            "RabbitMQ has no milestones for us: an older database would not be recognised; run "
            "checkoutctl topology, and checkoutctl roles rabbitmq",
            LOG_STR("reason", reading->problem));
    const char *found = reading->milestones;
    const char *own = own_milestone(milestones);
    SEEDED_BUG(OLD_PRIMARY, found = "{}"; own = "");
    buf_reset(query);
    (void)buf_append(query, found, strlen(found) - 1);
    if (own[0] != '\0')
        pg_array_text(query, own);
    pg_array_end(query);
    const char *const params[] = {buf_text(query), milestones->options.name};
    if (query->failed ||
        pg_query(milestones->options.session, &judge, params, judged, milestones) < 0)
        try_again(milestones, "PostgreSQL", "the milestones could not be sent");
    else
        milestones->phase = PHASE_JUDGING;
}

static void begin(struct milestones *milestones)
{
    milestones->phase = PHASE_READING;
    int code = milestone_fetch_start(milestones->fetch);
    if (code < 0)
        try_again(milestones, "milestones in RabbitMQ", err_text(code));
}

/* ---- while it is connected ---- */

static void looked(const struct pg_result *result, void *arg)
{
    struct milestones *milestones = arg;
    milestones->looking = false;
    if (pg_status(result) != PG_OK ||
        (milestones->phase != PHASE_FINE && milestones->phase != PHASE_BEHIND))
        return;
    bool fine = pg_rows(result) == 1 && pg_null(result, 0, 1);
    if (!fine && strcmp(pg_text(result, 0, 0), "CK009") == 0)
        found_behind(milestones, pg_text(result, 0, 1));
    else if (!fine || milestones->phase == PHASE_BEHIND)
        begin(milestones); /* it is another one, or a restore was finished */
}

static void reserved(int64_t reserved_to, void *arg)
{
    struct milestones *milestones = arg;
    char number[24];
    const char *const params[] = {number};
    (void)snprintf(number, sizeof number, "%" PRId64, reserved_to);
    if (reserved_to == 0 || reserved_to == milestones->kept || milestones->phase != PHASE_FINE)
        return;
    if (pg_query(milestones->options.session, &keep_reserved, params, NULL, NULL) < 0)
        log_debug("reservation of event ids not written; the next milestone has it");
}

static void asked(const struct pg_result *result, void *arg)
{
    struct milestones *milestones = arg;
    milestones->asking = false;
    if (pg_status(result) != PG_OK || pg_rows(result) != 1 || milestones->phase != PHASE_FINE) {
        if (pg_status(result) == PG_ERROR && log_due(&milestones->logged_ms, LOG_EVERY_MS))
            log_error("no milestone to keep", LOG_STR("problem", pg_message(result)));
        return;
    }
    milestones->kept = pg_int(result, 0, 2);
    if (milestone_writer_put(milestones->writer, pg_text(result, 0, 0), pg_int(result, 0, 1)) < 0)
        log_error("the milestone is too long");
}

static void keep_newest(struct milestones *milestones)
{
    if (milestones->asking || milestones->pool == NULL || epoch_of(milestones, 0) == 0)
        return;
    milestones->asking =
        pg_query(milestones->options.session, &milestone_now, NULL, asked, milestones) == 0;
}

static void tick(void *arg)
{
    struct milestones *milestones = arg;
    milestones->ticks++;
    metric_set(milestones->options.stats->milestone_waits_seconds,
               (double)milestone_writer_tick(milestones->writer) / 1000);
    if (milestones->phase == PHASE_AGAIN && clock_mono_ms() >= milestones->again_ms)
        begin(milestones);
    if (milestones->phase == PHASE_FINE)
        remember(milestones);
    if (milestones->phase == PHASE_FINE &&
        milestones->ticks % (1 + milestones->options.shards / SHARDS_OF_A_TICK) == 0)
        keep_newest(milestones);
    if ((milestones->phase == PHASE_FINE || milestones->phase == PHASE_BEHIND) &&
        !milestones->looking && milestones->ticks % LOOK_TICKS == 0)
        milestones->looking =
            pg_query(milestones->options.session, &look, NULL, looked, milestones) == 0;
}

void milestones_session_up(struct milestones *milestones)
{
    begin(milestones);
}

void milestones_session_lost(struct milestones *milestones)
{
    if (milestones->phase == PHASE_FINE) {
        remember(milestones);
        const char *own = own_milestone(milestones);
        if (own[0] != '\0' && milestone_writer_put(milestones->writer, own, 0) < 0)
            log_error("the milestone is too long");
    }
    if (milestones->phase != PHASE_BEHIND)
        milestones->why[0] = '\0';
    milestones->phase = PHASE_AWAY;
}

void milestones_say(const struct milestones *milestones, struct buf *ret_why)
{
    if (milestones->phase != PHASE_FINE && milestones->why[0] != '\0')
        (void)buf_printf(ret_why, "%s\n", milestones->why);
}

/* ---- life ---- */

struct milestones *milestones_new(const struct milestones_options *options)
{
    struct milestones *milestones = calloc(1, sizeof *milestones);
    if (milestones == NULL)
        return NULL;
    milestones->options = *options;
    buf_init(&milestones->own, MILESTONE_SIZE_MAX);
    buf_init(&milestones->query, QUERY_MAX);
    milestones->announced = announced_new(options->shards);
    milestones->timer = loop_timer_new(options->loop, tick, milestones);
    milestones->fetch = milestone_fetch_new(options->loop, &options->reading, read, milestones);
    milestones->writer = milestone_writer_new(options->broker, reserved, milestones);
    if (milestones->announced == NULL || milestones->timer == NULL || milestones->fetch == NULL ||
        milestones->writer == NULL) {
        milestones_free(milestones);
        return NULL;
    }
    loop_timer_start(milestones->timer, TICK_MS, TICK_MS);
    return milestones;
}

void milestones_follow(struct milestones *milestones, struct pool *pool,
                       const struct pool_options *options)
{
    milestones->pool = pool;
    milestones->serving = *options;
}

void milestones_stop(struct milestones *milestones)
{
    if (milestones == NULL)
        return;
    loop_timer_stop(milestones->timer);
    milestone_fetch_free(milestones->fetch);
    milestones->fetch = NULL;
    milestone_writer_stop(milestones->writer);
    milestones->phase = PHASE_AWAY;
}

void milestones_free(struct milestones *milestones)
{
    if (milestones == NULL)
        return;
    loop_timer_free(milestones->timer);
    milestone_fetch_free(milestones->fetch);
    milestone_writer_free(milestones->writer);
    buf_free(&milestones->own);
    buf_free(&milestones->query);
    announced_free(milestones->announced);
    free(milestones);
}
