#include "console/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/event_json.h"
#include "common/shop/shards_serving.h"

#define TICK_MS 200
#define WAITING_MAX 256 /* further ones are answered at once */
#define LIMIT_USUAL 100
#define LIMIT_MAX 1000
#define PAGE_LEAST 16 /* events of each shard in one query */
#define POSITIONS_MAX ((size_t)32 * 1024)
#define NUMBER_SIZE 24
#define PURGED "CK006"

/* Of each shard: the newest event, and the last that was purged. */
static const struct pg_statement select_end = {
    "console_feed_end",
    "select e, s from unnest(checkout.feed_end(), checkout.feed_start()) with ordinality as f(e, "
    "s, n)"
    " order by n",
    0};
enum { COLUMN_END, COLUMN_START };

struct feed {
    struct console *console;
    struct loop_timer *tick;
    struct call_list waiting;
    size_t count;
    bool asking;
};

static void ask(struct call *call);

/* ---- the answer ---- */

static void answer(struct call *call, bool more)
{
    struct buf *out = &call->out;
    (void)buf_str(out, call->shown == 0 ? "{\"events\":[],\"cursor\":\"" : "],\"cursor\":\"");
    cursor_write(call->cursor, out);
    (void)buf_printf(out, "\",\"more\":%s}", more ? "true" : "false");
    if (out->failed)
        call_refuse(call, PROBLEM_OVERLOADED, "the page is too large: ask for fewer");
    else
        call_answer(call, 200, buf_text(out), NULL);
}

/* ---- waiting ---- */

static void leave(struct feed *feed, struct call *call)
{
    TAILQ_REMOVE(&feed->waiting, call, waits);
    feed->count--;
    metric_add(feed->console->stats.waiting, -1);
    if (feed->count == 0)
        loop_timer_stop(feed->tick);
}

static void enter(struct feed *feed, struct call *call)
{
    TAILQ_INSERT_TAIL(&feed->waiting, call, waits);
    metric_add(feed->console->stats.waiting, 1);
    if (feed->count++ == 0)
        loop_timer_start(feed->tick, TICK_MS, TICK_MS);
}

static void answer_overdue(struct feed *feed, bool all)
{
    uint64_t now_ms = clock_mono_ms();
    struct call *call = TAILQ_FIRST(&feed->waiting);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, waits);
        if (all || now_ms >= call->until_ms) {
            leave(feed, call);
            answer(call, false);
        }
        call = next;
    }
}

/* Whether an event is behind the call's cursor. */
static bool is_behind(const struct call *call, const struct pg_result *end)
{
    for (int i = 0; i < pg_rows(end) && i < CURSOR_SHARDS_MAX; i++)
        if (pg_int(end, i, COLUMN_END) > call->cursor->positions[i])
            return true;
    return false;
}

static void looked(const struct pg_result *end, void *arg)
{
    struct feed *feed = arg;
    feed->asking = false;
    if (pg_status(end) == PG_ERROR)
        log_error("end of the feed not read", LOG_STR("problem", pg_message(end)));
    if (pg_status(end) != PG_OK)
        return;
    struct call *call = TAILQ_FIRST(&feed->waiting);
    while (call != NULL) {
        struct call *next = TAILQ_NEXT(call, waits);
        if (is_behind(call, end)) {
            leave(feed, call);
            ask(call);
        }
        call = next;
    }
}

static void look(void *arg)
{
    struct feed *feed = arg;
    answer_overdue(feed, feed->console->leaving);
    if (!feed->asking && !TAILQ_EMPTY(&feed->waiting))
        feed->asking =
            pg_query(feed->console->sessions.reads, &select_end, NULL, looked, feed) == 0;
}

/* ---- reading events ---- */

/* Adds the page's events until there are enough. Returns whether some are left over. */
static bool add_events(struct call *call, const struct pg_result *result)
{
    for (int row = 0; row < pg_rows(result); row++) {
        if (call->shown == (uint64_t)call->limit)
            return true;
        cursor_advance(call->cursor, (uint32_t)pg_int(result, row, EVENT_JSON_SHARD),
                       pg_int(result, row, EVENT_JSON_ID));
        if (!pg_bool(result, row, EVENT_JSON_SHOWN))
            continue;
        (void)buf_str(&call->out, call->shown++ == 0 ? "{\"events\":[{" : ",{");
        event_json_encode(&call->out, result, row);
        (void)buf_char(&call->out, '}');
    }
    return false;
}

static void read_events(const struct pg_result *result, void *arg)
{
    struct call *call = arg;
    struct feed *feed = call->console->feed;
    if (pg_status(result) == PG_ERROR && strcmp(pg_sqlstate(result), PURGED) == 0) {
        call_refuse(call, PROBLEM_REFUSED, "events behind this cursor were purged");
        return;
    }
    if (!call_has_result(call, result))
        return;
    bool left_over = add_events(call, result);
    if (call->shown > 0)
        answer(call, left_over || pg_rows(result) > 0);
    else if (pg_rows(result) > 0)
        ask(call); /* only what is not shown: further on */
    else if (clock_mono_ms() < call->until_ms && feed->count < WAITING_MAX &&
             !feed->console->leaving)
        enter(feed, call);
    else
        answer(call, false);
}

static void ask(struct call *call)
{
    const struct cursor *cursor = call->cursor;
    int64_t page = call->limit / cursor->shards;
    char number[NUMBER_SIZE];
    struct buf positions;
    buf_init(&positions, POSITIONS_MAX);
    pg_array_begin(&positions);
    for (uint32_t i = 0; i < cursor->shards; i++)
        pg_array_int(&positions, cursor->positions[i]);
    pg_array_end(&positions);
    (void)snprintf(number, sizeof number, "%" PRId64, page > PAGE_LEAST ? page : PAGE_LEAST);
    const char *const params[] = {buf_text(&positions), number, "f"};
    call_query(call, call->console->sessions.reads, &event_json_feed, params, read_events);
    buf_free(&positions);
}

/* ---- where to begin ---- */

/* NULL, or why the cursor is not of this feed. */
static const char *check(const struct cursor *cursor, const struct pg_result *end)
{
    if (cursor->shards > (uint32_t)pg_rows(end))
        return "the cursor is of more shards than there ever were";
    for (int i = 0; i < (int)cursor->shards; i++)
        if (cursor->positions[i] > pg_int(end, i, COLUMN_END))
            return "the cursor is ahead of the database: it is of another one, or this one was set "
                   "back";
    return NULL;
}

static void begin(const struct pg_result *end, void *arg)
{
    struct call *call = arg;
    struct cursor *cursor = call->cursor;
    const char *after = http_request_query(call->request, "after");
    if (!call_has_result(call, end))
        return;
    if (pg_rows(end) == 0 || pg_rows(end) > CURSOR_SHARDS_MAX) {
        call_refuse(call, PROBLEM_REFUSED, SHARDS_NONE_SERVE);
        return;
    }
    bool given = after != NULL && strcmp(after, "now") != 0;
    for (int i = 0; !given && i < pg_rows(end); i++)
        cursor->positions[i] = pg_int(end, i, after == NULL ? COLUMN_START : COLUMN_END);
    if (!given)
        cursor->shards = (uint32_t)pg_rows(end);
    const char *wrong = check(cursor, end);
    if (wrong != NULL)
        call_refuse(call, PROBLEM_REFUSED, wrong);
    else
        ask(call);
}

void feed_get(struct call *call)
{
    const char *after = http_request_query(call->request, "after");
    if (call_number(call, "limit", 1, LIMIT_MAX, LIMIT_USUAL, &call->limit) < 0 ||
        call_wait(call, 0) < 0)
        return;
    call->cursor = calloc(1, sizeof *call->cursor);
    if (call->cursor == NULL)
        call_refuse(call, PROBLEM_OVERLOADED, "out of memory");
    else if (after != NULL && strcmp(after, "now") != 0 && cursor_parse(after, call->cursor) < 0)
        call_refuse(call, PROBLEM_INVALID_REQUEST,
                    "after must be the \"cursor\" of the page before, or now");
    else
        call_query(call, call->console->sessions.reads, &select_end, NULL, begin);
}

/* ---- the whole ---- */

struct feed *feed_new(struct console *console)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return NULL;
    feed->console = console;
    TAILQ_INIT(&feed->waiting);
    feed->tick = loop_timer_new(console->loop, look, feed);
    if (feed->tick != NULL)
        return feed;
    free(feed);
    return NULL;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
    answer_overdue(feed, true);
    loop_timer_free(feed->tick);
    free(feed);
}

void feed_drain(struct feed *feed)
{
    answer_overdue(feed, true);
}
