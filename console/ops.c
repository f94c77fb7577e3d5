#include "console/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define POINT_EVERY_S 10
#define FRESH_MS 1000
#define SHARE 50 /* PostgreSQL is busy with it for a fiftieth of the time at most */

static const struct pg_statement overview = {
    "console_overview", "select point::text, details::text from checkout.overview()", 0};
/* The point is one of `overview`; the answer is all that are kept of the last hour. */
static const struct pg_statement keep_point = {"console_keep_moment",
                                               "select checkout.keep_moment($1::json)::text", 1};

struct ops {
    struct console *console;
    struct loop_timer *tick;
    struct call_list waiting; /* for the answer that is asked for */
    struct buf details;       /* the newest; empty: none yet */
    struct buf points;        /* of the last hour, as JSON; empty: none yet */
    uint64_t asked_ms;
    uint64_t fresh_until_ms;
    bool asking;
    bool point_due;
};

static void kept(const struct pg_result *result, void *arg)
{
    struct ops *ops = arg;
    if (pg_status(result) == PG_ERROR)
        log_error("point of the last hour not kept", LOG_STR("problem", pg_message(result)));
    if (pg_status(result) != PG_OK)
        return;
    buf_reset(&ops->points);
    (void)buf_str(&ops->points, pg_text(result, 0, 0));
}

static void keep(struct ops *ops, const struct pg_result *result)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t rest_ms = (now_ms - ops->asked_ms) * SHARE;
    const char *const point[] = {pg_text(result, 0, 0)};
    if (ops->point_due)
        ops->point_due =
            pg_query(ops->console->sessions.writes, &keep_point, point, kept, ops) != 0;
    buf_reset(&ops->details);
    (void)buf_str(&ops->details, pg_text(result, 0, 1));
    ops->fresh_until_ms = now_ms + (rest_ms > FRESH_MS ? rest_ms : FRESH_MS);
}

static struct call *take(struct ops *ops)
{
    struct call *call = TAILQ_FIRST(&ops->waiting);
    if (call != NULL) {
        TAILQ_REMOVE(&ops->waiting, call, waits);
        metric_add(ops->console->stats.waiting, -1);
    }
    return call;
}

static void answer(struct ops *ops, struct call *call)
{
    if (ops->details.failed)
        call_refuse(call, PROBLEM_OVERLOADED, "out of memory");
    else
        call_answer(call, 200, buf_text(&ops->details), NULL);
}

static void came(const struct pg_result *result, void *arg)
{
    struct ops *ops = arg;
    struct call *call;
    bool good = pg_status(result) == PG_OK && pg_rows(result) == 1 && !pg_null(result, 0, 1);
    ops->asking = false;
    if (good)
        keep(ops, result);
    else if (pg_status(result) == PG_ERROR)
        log_error("overview not read", LOG_STR("problem", pg_message(result)));
    while ((call = take(ops)) != NULL) {
        if (good)
            answer(ops, call);
        else
            call_refuse(call, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    }
}

/* Whether an answer is on its way. */
static bool ask(struct ops *ops)
{
    if (ops->asking)
        return true;
    ops->asked_ms = clock_mono_ms();
    ops->asking = pg_query(ops->console->sessions.reads, &overview, NULL, came, ops) == 0;
    return ops->asking;
}

static void tick(void *arg)
{
    struct ops *ops = arg;
    ops->point_due = true;
    (void)ask(ops);
}

struct ops *ops_new(struct console *console)
{
    struct ops *ops = calloc(1, sizeof *ops);
    if (ops == NULL)
        return NULL;
    ops->console = console;
    TAILQ_INIT(&ops->waiting);
    buf_init(&ops->details, CALL_ANSWER_MAX);
    buf_init(&ops->points, CALL_ANSWER_MAX);
    ops->tick = loop_timer_new(console->loop, tick, ops);
    if (ops->tick != NULL)
        return ops;
    free(ops);
    return NULL;
}

void ops_begin(struct ops *ops)
{
    loop_timer_start(ops->tick, FRESH_MS, (uint64_t)POINT_EVERY_S * 1000);
}

void ops_free(struct ops *ops)
{
    struct call *call;
    if (ops == NULL)
        return;
    while ((call = take(ops)) != NULL)
        call_refuse(call, PROBLEM_OVERLOADED, "this server is leaving");
    loop_timer_free(ops->tick);
    buf_free(&ops->details);
    buf_free(&ops->points);
    free(ops);
}

void ops_overview(struct call *call)
{
    struct ops *ops = call->console->ops;
    if (ops->details.len > 0 && clock_mono_ms() < ops->fresh_until_ms) {
        answer(ops, call);
    } else if (!ask(ops)) {
        call_refuse(call, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    } else {
        TAILQ_INSERT_TAIL(&ops->waiting, call, waits);
        metric_add(ops->console->stats.waiting, 1);
    }
}

void ops_history(struct call *call)
{
    const struct buf *points = &call->console->ops->points;
    (void)buf_printf(&call->out, "{\"every_seconds\":%d,\"points\":", POINT_EVERY_S);
    (void)buf_str(&call->out, points->len > 0 ? buf_text(points) : "[]");
    (void)buf_char(&call->out, '}');
    if (call->out.failed || points->failed)
        call_refuse(call, PROBLEM_OVERLOADED, "out of memory");
    else
        call_answer(call, 200, buf_text(&call->out), NULL);
}
