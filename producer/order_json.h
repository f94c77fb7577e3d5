/* How an order looks to its buyer: from a row of the tables to JSON. */
#ifndef PRODUCER_ORDER_JSON_H
#define PRODUCER_ORDER_JSON_H

#include "common/base/buf.h"
#include "common/net/pg/pg.h"

/* The columns that view_order reads, of checkout.orders o. `VIEW_HISTORY`, one column, may follow.
 */
#define VIEW_TIME(column)                                                                          \
    "to_char(" column " at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define VIEW_COLUMNS                                                                               \
    "o.order_id, o.status, o.reason, o.sku, o.quantity, o.amount, o.currency, "                    \
    "checkout.place_in_line(o.order_id), " VIEW_TIME("o.created_at") ", " VIEW_TIME(               \
        "o.updated_at") ", o.reference"
#define VIEW_HISTORY                                                                               \
    "(select json_strip_nulls(json_agg(json_build_object('status', e.status, 'reason', e.reason, " \
    "'place_in_line', e.place_in_line, 'at', " VIEW_TIME(                                          \
        "e.created_at") ") order by e.sequence)) "                                                 \
                        "from checkout.order_events e where e.order_id = o.order_id)"
#define VIEW_ACTION "checkout.open_action(o.order_id)"

/* Appends the members of row `row` without the braces; absent ones are left out. */
void view_order(struct buf *out, const struct db_result *result, int row);
/* Status of that row. */
const char *view_status(const struct db_result *result, int row);
/* The column VIEW_HISTORY: JSON. */
const char *view_history(const struct db_result *result, int row);
/* The column VIEW_ACTION behind it: JSON; NULL: the buyer is asked for nothing. */
const char *view_action(const struct db_result *result, int row);

#endif
