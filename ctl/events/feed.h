/* The shop's feed of events, page by page, from a cursor on: what `events follow` and `events
 * listen` read. Waits for a database that is away. */
#ifndef CTL_EVENTS_FEED_H
#define CTL_EVENTS_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/cursor.h"
#include "common/shop/event_json.h"
#include "ctl/ctl.h"

/* False: no more rows of this page. The cursor is behind the row already. */
typedef bool (*feed_row_cb)(const struct pg_result *result, int row, void *arg);

struct feed {
    struct ctl *ctl;
    struct cursor cursor; /* after what was read */
    bool all_states;
    uint32_t page; /* of each shard */
    bool more;     /* the last page had events */
    bool stopping; /* by a signal */
    bool sleeping;
    bool away; /* the database is, and we have reported it */
    feed_row_cb row;
    void *arg;
    struct loop_timer *timer;
    struct loop_signal *interrupt;
    struct loop_signal *terminate;
};

/* Connects; begins behind `after`: a cursor, "now", or from the start (NULL). An exit code. */
MUST_CHECK int feed_open(struct feed *feed, struct ctl *ctl, const char *after, bool all_states,
                         feed_row_cb row, void *arg);
void feed_close(struct feed *feed);
/* Reads a page. An exit code: CTL_FINE also while the database is away or silent. */
MUST_CHECK int feed_read(struct feed *feed);
/* Waits until there may be more, or a signal comes. */
void feed_rest(struct feed *feed);

#endif
