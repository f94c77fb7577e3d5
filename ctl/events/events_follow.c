#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/events/cursor.h"
#include "ctl/progress.h"

#define IDLE_MS 200
#define AWAY_MS 500
#define PAGE_ALL 1024 /* events of one query, over all shards … */
#define PAGE_LEAST 16 /* … and at least so many of each */
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define POSITIONS_MAX ((size_t)32 * 1024)
#define NUMBER_SIZE 24
#define PURGED "CK006"

static const struct pg_statement select_feed = {
    "ctl_feed",
    "select shard, event_id, shown, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), order_id,"
    "       sequence, status, reason, user_id, sku, quantity, amount, currency, reference"
    "  from checkout.feed($1::bigint[], $2::integer, $3::boolean)",
    3};
enum {
    SHARD,
    EVENT_ID,
    SHOWN,
    AT,
    ORDER_ID,
    SEQUENCE,
    STATUS,
    REASON,
    USER_ID,
    SKU,
    QUANTITY,
    AMOUNT,
    CURRENCY,
    REFERENCE
};
static const struct pg_statement select_end = {
    "ctl_feed_end",
    "select p from unnest(checkout.feed_end()) with ordinality as e(p, n) order by n", 0};
static const struct pg_statement select_start = {
    "ctl_feed_start",
    "select p from unnest(checkout.feed_start()) with ordinality as e(p, n) order by n", 0};

struct follow {
    struct ctl *ctl;
    struct cursor cursor; /* after what is written */
    bool all_states;
    bool once;
    uint32_t page; /* of each shard */
    struct buf line;
    uint64_t written;
    bool more;     /* the last query returned events */
    bool stopping; /* by a signal */
    bool sleeping;
    bool away; /* the database is, and we have reported it */
    bool deaf; /* our output has no reader any more */
    struct loop_timer *timer;
    struct progress progress;
};

/* ---- writing ---- */

static void add_text(const struct pg_result *result, int row, int column, const char *name,
                     struct buf *line)
{
    if (pg_null(result, row, column))
        return;
    (void)buf_printf(line, ",\"%s\":", name);
    (void)buf_json_str(line, pg_text(result, row, column));
}

static void add_number(const struct pg_result *result, int row, int column, const char *name,
                       struct buf *line)
{
    if (!pg_null(result, row, column))
        (void)buf_printf(line, ",\"%s\":%s", name, pg_text(result, row, column));
}

static void write_json(const struct pg_result *result, int row, const struct cursor *cursor,
                       struct buf *line)
{
    (void)buf_printf(line, "{\"id\":\"%s\"", pg_text(result, row, EVENT_ID));
    add_text(result, row, AT, "time", line);
    add_text(result, row, ORDER_ID, "order_id", line);
    add_number(result, row, SEQUENCE, "sequence", line);
    add_text(result, row, STATUS, "status", line);
    add_text(result, row, REASON, "reason", line);
    add_text(result, row, USER_ID, "user_id", line);
    add_text(result, row, SKU, "sku", line);
    add_number(result, row, QUANTITY, "quantity", line);
    add_number(result, row, AMOUNT, "amount", line);
    add_text(result, row, CURRENCY, "currency", line);
    add_text(result, row, REFERENCE, "reference", line);
    add_number(result, row, SHARD, "shard", line);
    (void)buf_str(line, ",\"cursor\":\"");
    cursor_write(cursor, line);
    (void)buf_str(line, "\"}\n");
}

static void write_words(const struct pg_result *result, int row, struct buf *line)
{
    (void)buf_printf(line, "%s  %s  %s%s%s  %s x %s  %s%s%s\n", pg_text(result, row, AT),
                     pg_text(result, row, ORDER_ID), pg_text(result, row, STATUS),
                     pg_null(result, row, REASON) ? "" : ":", pg_text(result, row, REASON),
                     pg_text(result, row, QUANTITY), pg_text(result, row, SKU),
                     pg_text(result, row, USER_ID), pg_null(result, row, REFERENCE) ? "" : "  ",
                     pg_text(result, row, REFERENCE));
}

static void write_page(const struct pg_result *result, void *arg)
{
    struct follow *follow = arg;
    follow->more = pg_rows(result) > 0;
    for (int row = 0; row < pg_rows(result) && !follow->deaf; row++) {
        size_t shard = (size_t)pg_int(result, row, SHARD);
        follow->cursor.positions[shard] = pg_int(result, row, EVENT_ID);
        if (!pg_bool(result, row, SHOWN))
            continue;
        buf_reset(&follow->line);
        if (follow->ctl->json)
            write_json(result, row, &follow->cursor, &follow->line);
        else
            write_words(result, row, &follow->line);
        follow->written++;
        follow->deaf = fputs(buf_text(&follow->line), stdout) < 0;
    }
    follow->deaf = fflush(stdout) != 0 || follow->deaf;
}

/* ---- asking ---- */

static void wake(void *arg)
{
    struct follow *follow = arg;
    loop_stop(follow->ctl->loop);
}

static void on_signal(void *arg)
{
    struct follow *follow = arg;
    follow->stopping = true;
    if (follow->sleeping) /* else an answer is under way and is written first */
        loop_stop(follow->ctl->loop);
}

static void rest(struct follow *follow, uint64_t ms)
{
    if (follow->stopping)
        return;
    follow->sleeping = true;
    loop_timer_start(follow->timer, ms, 0);
    loop_run(follow->ctl->loop);
    loop_timer_stop(follow->timer);
    follow->sleeping = false;
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

static int ask(struct follow *follow)
{
    struct ctl *ctl = follow->ctl;
    struct buf positions;
    char page[NUMBER_SIZE];
    buf_init(&positions, POSITIONS_MAX);
    pg_array_begin(&positions);
    for (uint32_t i = 0; i < follow->cursor.shards; i++)
        pg_array_int(&positions, follow->cursor.positions[i]);
    pg_array_end(&positions);
    (void)snprintf(page, sizeof page, "%" PRIu32, follow->page);
    const char *const params[] = {buf_text(&positions), page, follow->all_states ? "t" : "f"};
    int exit_code = ctl_try_query(ctl, &select_feed, params, write_page, follow);
    buf_free(&positions);
    if (exit_code == CTL_FINE) {
        if (follow->away)
            (void)ctl_complain(0, "PostgreSQL is back");
        follow->away = false;
        return CTL_FINE;
    }
    if (strcmp(ctl->sqlstate, PURGED) == 0)
        return ctl_complain(CTL_FAILED,
                            "the cursor is too old: %s; begin again without --after at the oldest "
                            "event that is left, and compare your orders with `orders list`",
                            ctl->problem);
    if (!passes(ctl->sqlstate))
        return ctl_complain_query(ctl);
    if (!follow->away)
        (void)ctl_complain(0, "PostgreSQL is away: %s; going on when it is back", ctl->problem);
    follow->away = true;
    follow->more = false;
    return CTL_FINE;
}

static void show_progress(struct follow *follow)
{
    char what[96];
    if (isatty(STDOUT_FILENO) == 1)
        return;
    (void)snprintf(what, sizeof what, "%" PRIu64 " events written%s", follow->written,
                   follow->more ? "" : ", waiting for more");
    progress_show(&follow->progress, what, 0, 0);
}

static int go_on(struct follow *follow)
{
    int exit_code = CTL_FINE;
    while (!follow->stopping && exit_code == CTL_FINE && !follow->deaf) {
        exit_code = ask(follow);
        if (exit_code != CTL_FINE || follow->more) {
            show_progress(follow);
            continue;
        }
        if (follow->once && !follow->away)
            break;
        show_progress(follow);
        rest(follow, follow->away ? AWAY_MS : IDLE_MS);
    }
    progress_end(&follow->progress);
    return follow->deaf ? CTL_FAILED : exit_code;
}

/* ---- where to begin ---- */

static void read_positions(const struct pg_result *result, void *arg)
{
    struct cursor *end = arg;
    end->shards = (uint32_t)pg_rows(result);
    for (uint32_t i = 0; i < end->shards && i < CURSOR_SHARDS_MAX; i++)
        end->positions[i] = pg_int(result, (int)i, 0);
}

static int find_start(struct follow *follow, const char *after)
{
    struct cursor end = {0};
    int exit_code = ctl_query(follow->ctl, &select_end, NULL, read_positions, &end);
    if (exit_code == CTL_FINE && after == NULL)
        exit_code = ctl_query(follow->ctl, &select_start, NULL, read_positions, &follow->cursor);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (end.shards == 0)
        return ctl_complain(CTL_FAILED,
                            "no shards are in service; run `checkoutctl topology` first");
    if (after != NULL && strcmp(after, "now") == 0)
        follow->cursor = end;
    else if (after != NULL && cursor_parse(after, &follow->cursor) < 0)
        return ctl_complain(CTL_USAGE, "--after: \"%.60s\" is no cursor and not \"now\"", after);
    if (follow->cursor.shards != end.shards)
        return ctl_complain(CTL_USAGE, "--after: a cursor over %u shards; %u are in service",
                            follow->cursor.shards, end.shards);
    for (uint32_t i = 0; i < end.shards; i++)
        if (follow->cursor.positions[i] > end.positions[i])
            return ctl_complain(CTL_FAILED,
                                "--after: the cursor is ahead of the database in shard %u: it is "
                                "of another database, or this one was set back",
                                i);
    uint32_t page = PAGE_ALL / end.shards;
    follow->page = page > PAGE_LEAST ? page : PAGE_LEAST;
    return CTL_FINE;
}

/* The position without an event: that of "now", or the last one. */
static void tell_cursor(struct follow *follow, bool at_end)
{
    struct buf *line = &follow->line;
    buf_reset(line);
    cursor_write(&follow->cursor, line);
    if (!at_end && follow->ctl->json) {
        (void)printf("{\"cursor\":\"%s\"}\n", buf_text(line));
        follow->deaf = fflush(stdout) != 0;
    } else if (at_end && !follow->ctl->json) {
        (void)fprintf(stderr, "to go on: --after %s\n", buf_text(line));
    }
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_events_follow;
    static struct follow follow; /* too large for the stack */
    const char *after = command_option(command, args, "after");
    follow = (struct follow){.ctl = ctl,
                             .all_states = command_switch(command, args, "all-states"),
                             .once = command_switch(command, args, "once")};
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = find_start(&follow, after);
    if (exit_code != CTL_FINE)
        return exit_code;
    buf_init(&follow.line, LINE_MAX_BYTES);
    follow.timer = loop_timer_new(ctl->loop, wake, &follow);
    struct loop_signal *interrupt = loop_signal_new(ctl->loop, SIGINT, on_signal, &follow);
    struct loop_signal *terminate = loop_signal_new(ctl->loop, SIGTERM, on_signal, &follow);
    if (follow.timer == NULL || interrupt == NULL || terminate == NULL) {
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    } else {
        tell_cursor(&follow, false);
        exit_code = go_on(&follow);
        tell_cursor(&follow, true);
    }
    loop_signal_free(interrupt);
    loop_signal_free(terminate);
    loop_timer_free(follow.timer);
    buf_free(&follow.line);
    return exit_code;
}

const struct command command_events_follow = {
    .words = "events follow",
    .operands = "",
    .summary = "prints the final state of every order, as it happens",
    .details = "The feed for the shop's own programs: each final event (confirmed, rejected, "
               "cancelled, later perhaps refunded) exactly once, in order for each item, from the "
               "oldest one on that is not purged; a cursor behind that one is refused. Between "
               "them, without a sequence and with an amount of their own: "
               "partly_refunded, refund_failed, disputed, dispute_won, dispute_lost and "
               "dispute_closed, which happened at the gateway and change no order. With --json "
               "each line carries a \"cursor\"; keep the one of the last "
               "whole line that you processed, and --after goes on right after it, after any crash "
               "of either side. The first line with --json has only the cursor. Waits for a lost "
               "database. Ends by SIGINT or SIGTERM.",
    .options = {{"after", "CURSOR", "go on after it; \"now\": only new events"},
                {"all-states", NULL, "every change of state, not only final ones"},
                {"once", NULL, "end when there is no more"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
