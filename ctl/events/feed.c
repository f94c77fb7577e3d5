#include "ctl/events/feed.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

#define IDLE_MS 200
#define AWAY_MS 500
#define PAGE_ALL 1024 /* events of one query, over all shards … */
#define PAGE_LEAST 16 /* … and at least so many of each */
#define POSITIONS_MAX ((size_t)32 * 1024)
#define NUMBER_SIZE 24
#define PURGED "CK006"

static const struct pg_statement select_end = {
    "ctl_feed_end",
    "select p from unnest(checkout.feed_end()) with ordinality as e(p, n) order by n", 0};

static const struct pg_statement select_start = {
    "ctl_feed_start",
    "select p from unnest(checkout.feed_start()) with ordinality as e(p, n) order by n", 0};

/* ---- asking ---- */

static void take_page(const struct pg_result *result, void *arg)
{
    struct feed *feed = arg;
    bool wanted = true;
    feed->more = pg_rows(result) > 0;
    for (int row = 0; row < pg_rows(result) && wanted; row++) {
        uint32_t shard = (uint32_t)pg_int(result, row, EVENT_JSON_SHARD);
        cursor_advance(&feed->cursor, shard, pg_int(result, row, EVENT_JSON_ID));
        if (pg_bool(result, row, EVENT_JSON_SHOWN))
            wanted = feed->row(result, row, feed->arg);
    }
}

static void wake(void *arg)
{
    struct feed *feed = arg;
    loop_stop(feed->ctl->loop);
}

static void on_signal(void *arg)
{
    struct feed *feed = arg;
    feed->stopping = true;
    if (feed->sleeping) /* else an answer is under way and is written first */
        loop_stop(feed->ctl->loop);
}

void feed_rest(struct feed *feed)
{
    if (feed->stopping)
        return;
    feed->sleeping = true;
    loop_timer_start(feed->timer, feed->away ? AWAY_MS : IDLE_MS, 0);
    loop_run(feed->ctl->loop);
    loop_timer_stop(feed->timer);
    feed->sleeping = false;
}

/* Whether a failed query may succeed later. */
static bool passes(const char *sqlstate)
{
    static const char *const classes[] = {"", "08", "40", "53", "57", "58"};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

int feed_read(struct feed *feed)
{
    struct ctl *ctl = feed->ctl;
    struct buf positions;
    char page[NUMBER_SIZE];
    buf_init(&positions, POSITIONS_MAX);
    pg_array_begin(&positions);
    for (uint32_t i = 0; i < feed->cursor.shards; i++)
        pg_array_int(&positions, feed->cursor.positions[i]);
    pg_array_end(&positions);
    (void)snprintf(page, sizeof page, "%" PRIu32, feed->page);
    const char *const params[] = {buf_text(&positions), page, feed->all_states ? "t" : "f"};
    int exit_code = ctl_try_query(ctl, &event_json_feed, params, take_page, feed);
    buf_free(&positions);
    if (exit_code == CTL_FINE) {
        if (feed->away)
            (void)ctl_complain(0, "PostgreSQL is back");
        feed->away = false;
        return CTL_FINE;
    }
    if (strcmp(ctl->sqlstate, PURGED) == 0)
        return ctl_complain(CTL_FAILED,
                            "the cursor is too old: %s; begin again without --after at the oldest "
                            "event that is left, and compare your orders with `orders list`",
                            ctl->problem);
    if (!passes(ctl->sqlstate))
        return ctl_complain_query(ctl);
    if (!feed->away)
        (void)ctl_complain(0, "PostgreSQL is away: %s; going on when it is back", ctl->problem);
    feed->away = true;
    feed->more = false;
    return CTL_FINE;
}

/* ---- where to begin ---- */

static void read_positions(const struct pg_result *result, void *arg)
{
    struct cursor *end = arg;
    end->shards = (uint32_t)pg_rows(result);
    for (uint32_t i = 0; i < end->shards && i < CURSOR_SHARDS_MAX; i++)
        end->positions[i] = pg_int(result, (int)i, 0);
}

static int find_start(struct feed *feed, const char *after)
{
    struct cursor end = {0};
    int exit_code = ctl_query(feed->ctl, &select_end, NULL, read_positions, &end);
    if (exit_code == CTL_FINE && after == NULL)
        exit_code = ctl_query(feed->ctl, &select_start, NULL, read_positions, &feed->cursor);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (end.shards == 0)
        return ctl_complain(CTL_FAILED,
                            "no shards are in service; run `checkoutctl topology` first");
    if (after != NULL && strcmp(after, "now") == 0)
        feed->cursor = end;
    else if (after != NULL && cursor_parse(after, &feed->cursor) < 0)
        return ctl_complain(CTL_USAGE, "--after: \"%.60s\" is no cursor and not \"now\"", after);
    if (feed->cursor.shards > end.shards)
        return ctl_complain(CTL_USAGE,
                            "--after: a cursor over %u shards; there never were more than %u",
                            feed->cursor.shards, end.shards);
    for (uint32_t i = 0; i < feed->cursor.shards; i++)
        if (feed->cursor.positions[i] > end.positions[i])
            return ctl_complain(CTL_FAILED,
                                "--after: the cursor is ahead of the database in shard %u: it is "
                                "of another database, or this one was set back",
                                i);
    uint32_t page = PAGE_ALL / end.shards;
    feed->page = page > PAGE_LEAST ? page : PAGE_LEAST;
    return CTL_FINE;
}

int feed_open(struct feed *feed, struct ctl *ctl, const char *after, bool all_states,
              feed_row_cb row, void *arg)
{
    *feed = (struct feed){.ctl = ctl, .all_states = all_states, .row = row, .arg = arg};
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    pg_patience(ctl->pg, CTL_ANSWER_SOON_MS);
    exit_code = find_start(feed, after);
    if (exit_code != CTL_FINE)
        return exit_code;
    feed->timer = loop_timer_new(ctl->loop, wake, feed);
    feed->interrupt = loop_signal_new(ctl->loop, SIGINT, on_signal, feed);
    feed->terminate = loop_signal_new(ctl->loop, SIGTERM, on_signal, feed);
    return feed->timer == NULL || feed->interrupt == NULL || feed->terminate == NULL
               ? ctl_complain(CTL_FAILED, "out of memory")
               : CTL_FINE;
}

void feed_close(struct feed *feed)
{
    loop_signal_free(feed->interrupt);
    loop_signal_free(feed->terminate);
    loop_timer_free(feed->timer);
}
