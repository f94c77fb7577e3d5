#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/events/feed.h"
#include "ctl/progress.h"

#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct follow {
    struct feed feed;
    bool once;
    struct buf line;
    uint64_t written;
    bool deaf; /* our output has no reader any more */
    struct progress progress;
};

/* ---- writing ---- */

static void write_json(const struct pg_result *result, int row, const struct cursor *cursor,
                       struct buf *line)
{
    (void)buf_char(line, '{');
    event_json_encode(line, result, row);
    (void)buf_str(line, ",\"cursor\":\"");
    cursor_write(cursor, line);
    (void)buf_str(line, "\"}\n");
}

static void write_words(const struct pg_result *result, int row, struct buf *line)
{
    (void)buf_printf(
        line, "%s  %s  %s%s%s  %s x %s  %s%s%s\n", pg_text(result, row, EVENT_JSON_AT),
        pg_text(result, row, EVENT_JSON_ORDER), pg_text(result, row, EVENT_JSON_STATUS),
        pg_null(result, row, EVENT_JSON_REASON) ? "" : ":", pg_text(result, row, EVENT_JSON_REASON),
        pg_text(result, row, EVENT_JSON_QUANTITY), pg_text(result, row, EVENT_JSON_SKU),
        pg_text(result, row, EVENT_JSON_USER),
        pg_null(result, row, EVENT_JSON_REFERENCE) ? "" : "  ",
        pg_text(result, row, EVENT_JSON_REFERENCE));
}

static bool write_row(const struct pg_result *result, int row, void *arg)
{
    struct follow *follow = arg;
    buf_reset(&follow->line);
    if (follow->feed.ctl->json)
        write_json(result, row, &follow->feed.cursor, &follow->line);
    else
        write_words(result, row, &follow->line);
    follow->written++;
    follow->deaf = fputs(buf_text(&follow->line), stdout) < 0;
    return !follow->deaf;
}

static void show_progress(struct follow *follow)
{
    char what[96];
    if (isatty(STDOUT_FILENO) == 1)
        return;
    (void)snprintf(what, sizeof what, "%" PRIu64 " events written%s", follow->written,
                   follow->feed.more ? "" : ", waiting for more");
    progress_show(&follow->progress, what, 0, 0);
}

static int go_on(struct follow *follow)
{
    struct feed *feed = &follow->feed;
    int exit_code = CTL_FINE;
    while (!feed->stopping && exit_code == CTL_FINE && !follow->deaf) {
        exit_code = feed_read(feed);
        follow->deaf = fflush(stdout) != 0 || follow->deaf;
        if (exit_code != CTL_FINE || feed->more) {
            show_progress(follow);
            continue;
        }
        if (follow->once && !feed->away)
            break;
        show_progress(follow);
        feed_rest(feed);
    }
    progress_end(&follow->progress);
    return follow->deaf ? CTL_FAILED : exit_code;
}

/* The position without an event: that of "now", or the last one. */
static void tell_cursor(struct follow *follow, bool at_end)
{
    struct buf *line = &follow->line;
    buf_reset(line);
    cursor_write(&follow->feed.cursor, line);
    if (!at_end && follow->feed.ctl->json) {
        (void)printf("{\"cursor\":\"%s\"}\n", buf_text(line));
        follow->deaf = fflush(stdout) != 0;
    } else if (at_end && !follow->feed.ctl->json) {
        (void)fprintf(stderr, "to go on: --after %s\n", buf_text(line));
    }
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_events_follow;
    static struct follow follow; /* too large for the stack */
    follow = (struct follow){.once = command_switch(command, args, "once")};
    buf_init(&follow.line, LINE_MAX_BYTES);
    int exit_code = feed_open(&follow.feed, ctl, command_option(command, args, "after"),
                              command_switch(command, args, "all-states"), write_row, &follow);
    if (exit_code == CTL_FINE) {
        tell_cursor(&follow, false);
        exit_code = go_on(&follow);
        tell_cursor(&follow, true);
    }
    feed_close(&follow.feed);
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
