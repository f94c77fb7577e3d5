#include "producer/timekeeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/clock_lock.h"
#include "producer/accept_clock.h"
#include "producer/challenges.h"

#define ASK_MS 1000
#define UNKNOWN_SAID_MS 10000 /* so long after the start an unknown drift is said */
#define DRIFT_LOG_MS 60000
#define DRIFT_STEP_MS 100 /* the lock follows the drift in such steps */
#define NUMBER_SIZE 24
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

#define MS(column) "ceil(extract(epoch from " column ") * 1000)::bigint"

static const struct pg_statement ask_time = {"producer_time", "select " MS("clock_timestamp()"), 0};

/* The windows that begin next, and those that ended last or will within seconds. */
static const struct pg_statement ask_windows = {
    "producer_sale_windows",
    "(select i.sku, " MS("i.opens_at") ", " MS(
        "i.closes_at") "  from checkout.items i where i.opens_at > now() order by i.opens_at limit "
                       "$1::integer / 2)"
                       " union all"
                       " (select i.sku, 0, " MS(
                           "i.closes_at") "  from checkout.items i where i.closes_at <= now() + "
                                          "interval '10 s'"
                                          "   and (i.opens_at is null or i.opens_at <= now())"
                                          "  order by i.closes_at desc limit $1::integer / 2)",
    1};

static const struct pg_statement ask_challenges = {
    "producer_challenges",
    "select i.sku, i.challenge from checkout.items i where i.challenge is not null order by i.sku"
    " limit $1::integer",
    1};

/* Shows the drift to `checkoutctl doctor`: $1 is what was shown before, or null. */
static const struct pg_statement show_drift = {
    "producer_drift",
    "select pg_advisory_lock_shared(" CLOCK_LOCK_CLASS ", $2::integer),"
    " case when $1::integer is not null"
    "  then pg_advisory_unlock_shared(" CLOCK_LOCK_CLASS ", $1::integer) end",
    2};

struct timekeeper {
    struct api *api;
    struct loop_timer *timer;
    struct accept_clock clock;
    struct sale_windows windows;
    uint64_t started_ms;
    uint64_t sent_ms; /* of the question about the time that is under way; 0: none */
    bool windows_asked;
    struct challenges challenges;
    bool challenges_asked;
    bool shown; /* the drift, in this session */
    int64_t shown_ms;
    uint64_t drift_said_ms; /* 0: never */
    bool unknown_said;
};

/* ---- the clock ---- */

static void show(struct timekeeper *t, int64_t drift_ms)
{
    char before[NUMBER_SIZE], now[NUMBER_SIZE];
    int64_t step = drift_ms / DRIFT_STEP_MS * DRIFT_STEP_MS;
    step = step > INT32_MAX ? INT32_MAX : step < -INT32_MAX ? -INT32_MAX : step;
    if (t->shown && t->shown_ms == step)
        return;
    (void)snprintf(before, sizeof before, "%" PRId64, t->shown_ms);
    (void)snprintf(now, sizeof now, "%" PRId64, step);
    const char *params[] = {t->shown ? before : NULL, now};
    if (pg_query(t->api->sessions.reads, &show_drift, params, NULL, NULL) < 0)
        return; /* at the next measure */
    t->shown = true;
    t->shown_ms = step;
}

static void tell_drift(struct timekeeper *t, uint64_t mono_ms)
{
    int64_t drift_ms = accept_clock_drift(&t->clock, mono_ms, clock_wall_ms());
    metric_set(t->api->stats.clock_drift, (double)drift_ms / 1000);
    metric_set(t->api->stats.clock_known, t->clock.known);
    if (t->clock.known)
        show(t, drift_ms);
    if (drift_ms >= -ACCEPT_CLOCK_DRIFT_MAX_MS && drift_ms <= ACCEPT_CLOCK_DRIFT_MAX_MS) {
        t->drift_said_ms = 0;
        return;
    }
    if (t->drift_said_ms != 0 && mono_ms < t->drift_said_ms + DRIFT_LOG_MS)
        return;
    t->drift_said_ms = mono_ms;
    log_warning("clock differs from PostgreSQL's: orders are stamped with PostgreSQL's time; "
                "synchronise both hosts",
                LOG_INT("ahead_ms", drift_ms));
}

static void time_came(const struct pg_result *result, void *arg)
{
    struct timekeeper *t = arg;
    uint64_t sent_ms = t->sent_ms;
    uint64_t now_ms = clock_mono_ms();
    t->sent_ms = 0;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_warning("PostgreSQL's time not read", LOG_STR("problem", pg_message(result)));
        return;
    }
    accept_clock_measured(&t->clock, sent_ms, now_ms, pg_int(result, 0, 0));
    if (!t->api->closing)
        tell_drift(t, now_ms);
}

/* ---- sale windows ---- */

static void windows_came(const struct pg_result *result, void *arg)
{
    struct timekeeper *t = arg;
    t->windows_asked = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_warning("sale windows not read", LOG_STR("problem", pg_message(result)));
        return;
    }
    size_t count = (size_t)pg_rows(result);
    struct sale_window *list = sale_windows_room(count);
    if (list == NULL)
        return; /* the one before grows old */
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        const char *sku = pg_text(result, (int)i, 0);
        size_t len = strlen(sku);
        if (len > JOB_SKU_MAX)
            continue;
        memcpy(list[taken].sku, sku, len + 1);
        list[taken].opens_ms = pg_int(result, (int)i, 1);
        list[taken++].closes_ms = pg_int(result, (int)i, 2);
    }
    sale_windows_replace(&t->windows, list, taken, clock_mono_ms());
}

/* ---- challenges ---- */

static void challenges_came(const struct pg_result *result, void *arg)
{
    struct timekeeper *t = arg;
    t->challenges_asked = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_warning("challenges of items not read", LOG_STR("problem", pg_message(result)));
        return;
    }
    size_t taken = 0;
    struct challenge *list = challenges_room((size_t)pg_rows(result));
    if (list == NULL)
        return; /* the one before grows old */
    for (int i = 0; i < pg_rows(result); i++)
        if (challenges_fill(&list[taken], pg_text(result, i, 0), pg_text(result, i, 1)))
            taken++;
    challenges_replace(&t->challenges, list, taken, clock_mono_ms());
}

/* ---- asking ---- */

static void say_unknown(struct timekeeper *t, uint64_t now_ms)
{
    if (t->clock.known || t->unknown_said || now_ms < t->started_ms + UNKNOWN_SAID_MS)
        return;
    t->unknown_said = true;
    log_warning("clock not compared with PostgreSQL's: orders are stamped with this host's time");
}

static void ask(void *arg)
{
    static const char *const windows[] = {TEXT_OF(SALE_WINDOWS_MAX)};
    static const char *const challenges[] = {TEXT_OF(CHALLENGES_MAX)};
    struct timekeeper *t = arg;
    uint64_t now_ms = clock_mono_ms();
    say_unknown(t, now_ms);
    if (t->sent_ms == 0 && pg_query(t->api->sessions.reads, &ask_time, NULL, time_came, t) == 0)
        t->sent_ms = now_ms;
    if (!t->windows_asked &&
        pg_query(t->api->sessions.reads, &ask_windows, windows, windows_came, t) == 0)
        t->windows_asked = true;
    if (!t->challenges_asked &&
        pg_query(t->api->sessions.reads, &ask_challenges, challenges, challenges_came, t) == 0)
        t->challenges_asked = true;
}

struct timekeeper *timekeeper_new(struct api *api)
{
    struct timekeeper *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->api = api;
    t->started_ms = clock_mono_ms();
    t->timer = loop_timer_new(api->loop, ask, t);
    if (t->timer == NULL) {
        free(t);
        return NULL;
    }
    loop_timer_start(t->timer, ASK_MS, ASK_MS);
    return t;
}

void timekeeper_free(struct timekeeper *timekeeper)
{
    if (timekeeper == NULL)
        return;
    loop_timer_free(timekeeper->timer);
    sale_windows_free(&timekeeper->windows);
    challenges_free(&timekeeper->challenges);
    free(timekeeper);
}

void timekeeper_connected(struct timekeeper *timekeeper)
{
    timekeeper->shown = false; /* the lock was the session's */
    ask(timekeeper);
}

int64_t timekeeper_now_ms(const struct timekeeper *timekeeper)
{
    return accept_clock_now(&timekeeper->clock, clock_mono_ms(), clock_wall_ms());
}

enum sale_state timekeeper_judge(const struct timekeeper *timekeeper, const char *sku,
                                 int64_t accepted_ms, int64_t *ret_opens_ms)
{
    return sale_windows_judge(&timekeeper->windows, sku, accepted_ms, clock_mono_ms(),
                              ret_opens_ms);
}

const char *timekeeper_challenge(const struct timekeeper *timekeeper, const char *sku)
{
    return challenges_of(&timekeeper->challenges, sku, clock_mono_ms());
}
