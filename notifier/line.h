/*
 * The waitlist of one item as the notifier knows it: which tickets were on it when it was last
 * read, and how it has moved since. What is known to have left counts no more, and who comes, comes
 * behind; so a place that it gives is never below the true one. Pure.
 */
#ifndef NOTIFIER_LINE_H
#define NOTIFIER_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/line_news.h"

#define LINE_GROUPS_MAX 8192 /* groups of tickets; the line behind them counts as complete */

struct line_group {
    int64_t first;  /* ticket */
    int64_t count;  /* tickets without a gap */
    int64_t before; /* tickets of the groups before it */
};

/* Zeroed: nothing is known. */
struct line {
    struct line_news news;
    struct line_group *groups; /* owned; by ticket */
    size_t group_count;
    int64_t open; /* from this ticket on all count as waiting */
    bool read;
};

/* The line as PostgreSQL has it. `tickets`: as checkout.line_tickets gives them, "" where no
 * order waits. ERR_PARSE, ERR_NOMEM: it stays as it was. */
MUST_CHECK int line_read(struct line *line, const struct line_news *news, const char *tickets);
/* News of it. False: they are older than what is known. */
bool line_hear(struct line *line, const struct line_news *news);
void line_free(struct line *line);

/* The place of a ticket that waits, 1 for the head; it may be too high by those that left in the
 * middle since it was read. 0: nothing is known, or the ticket has left. */
int64_t line_place(const struct line *line, int64_t ticket);
/* Whether all places are the true ones, as of the last news. */
bool line_exact(const struct line *line);

#endif
