#include "console/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/status.h"

#define TICK_MS 25
#define WAITING_MAX 1024 /* further ones are answered at once */
#define IDS_MAX ((size_t)WAITING_MAX * 24)
#define LOCATION_SIZE 64

static const struct pg_statement ended = {
    "console_ended",
    "select command_id, state, result, answer from checkout.console_ended($1::bigint[])", 1};

struct watch {
    struct console *console;
    struct loop_timer *tick;
    struct call_list waiting;
    size_t count;
    bool asking;
};

void watch_tell(struct call *call, const char *state, const char *result, const char *json)
{
    char location[LOCATION_SIZE];
    (void)snprintf(location, sizeof location, "/v1/shop/commands/%" PRId64, call->command_id);
    const struct http_header header = {"Location", location};
    enum command_state word = command_state_of(state);
    if (word == COMMAND_STATE_REFUSED)
        call_refuse(call, PROBLEM_REFUSED, result);
    else
        call_answer(call, word == COMMAND_STATE_DONE ? 200 : 202, json, &header);
}

static void leave(struct watch *watch, struct call *call)
{
    TAILQ_REMOVE(&watch->waiting, call, waits);
    watch->count--;
    metric_add(watch->console->stats.waiting, -1);
    if (watch->count == 0)
        loop_timer_stop(watch->tick);
}

/* What is recorded goes on by itself, so an answer may come before it ends. */
static void tell_pending(struct watch *watch, bool all)
{
    uint64_t now_ms = clock_mono_ms();
    struct call *call = TAILQ_FIRST(&watch->waiting);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, waits);
        if (all || now_ms >= call->until_ms) {
            leave(watch, call);
            watch_tell(call, command_state_word(COMMAND_STATE_PENDING), "", buf_text(&call->out));
        }
        call = next;
    }
}

static void tell_ended(struct watch *watch, const struct pg_result *result, int row)
{
    int64_t id = pg_int(result, row, 0);
    struct call *call = TAILQ_FIRST(&watch->waiting);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, waits);
        if (call->command_id == id) {
            leave(watch, call);
            watch_tell(call, pg_text(result, row, 1), pg_text(result, row, 2),
                       pg_text(result, row, 3));
        }
        call = next;
    }
}

static void looked(const struct pg_result *result, void *arg)
{
    struct watch *watch = arg;
    watch->asking = false;
    if (pg_status(result) == PG_ERROR)
        log_error("commands not read", LOG_STR("problem", pg_message(result)));
    for (int row = 0; pg_status(result) == PG_OK && row < pg_rows(result); row++)
        tell_ended(watch, result, row);
}

static void look(void *arg)
{
    struct watch *watch = arg;
    tell_pending(watch, watch->console->leaving);
    if (watch->asking || TAILQ_EMPTY(&watch->waiting))
        return;
    struct buf ids;
    struct call *call;
    buf_init(&ids, IDS_MAX);
    pg_array_begin(&ids);
    TAILQ_FOREACH(call, &watch->waiting, waits)
    pg_array_int(&ids, call->command_id);
    pg_array_end(&ids);
    const char *const params[] = {buf_text(&ids)};
    watch->asking =
        !ids.failed && pg_query(watch->console->sessions.reads, &ended, params, looked, watch) == 0;
    buf_free(&ids);
}

struct watch *watch_new(struct console *console)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->console = console;
    TAILQ_INIT(&watch->waiting);
    watch->tick = loop_timer_new(console->loop, look, watch);
    if (watch->tick != NULL)
        return watch;
    free(watch);
    return NULL;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    tell_pending(watch, true);
    loop_timer_free(watch->tick);
    free(watch);
}

void watch_add(struct watch *watch, struct call *call)
{
    bool wait = watch->count < WAITING_MAX && !watch->console->leaving;
    TAILQ_INSERT_TAIL(&watch->waiting, call, waits);
    metric_add(watch->console->stats.waiting, 1);
    if (watch->count++ == 0)
        loop_timer_start(watch->tick, TICK_MS, TICK_MS);
    if (!wait)
        call->until_ms = 0;
    tell_pending(watch, false);
}

void watch_drain(struct watch *watch)
{
    tell_pending(watch, true);
}
