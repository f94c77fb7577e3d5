/* How an order looks to its buyer: from a row of the tables to JSON. */
#ifndef PRODUCER_ORDER_JSON_H
#define PRODUCER_ORDER_JSON_H

#include "common/base/buf.h"
#include "common/net/pg/pg.h"
#include "producer/orders/line_paces.h"

/* The columns that order_json_encode reads, of checkout.orders o. `ORDER_JSON_HISTORY`, one column,
 * may follow.
 */
#define ORDER_JSON_TIME(column)                                                                    \
    "to_char(" column " at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define ORDER_JSON_EXPIRES ORDER_JSON_TIME("checkout.waits_until(o.order_id)")
#define ORDER_JSON_CREATED ORDER_JSON_TIME("o.created_at")
#define ORDER_JSON_UPDATED ORDER_JSON_TIME("o.updated_at")
#define ORDER_JSON_COLUMNS                                                                         \
    "o.order_id, o.status, o.reason, o.sku, o.quantity, o.amount, o.currency, "                    \
    "checkout.place_in_line(o.order_id), " ORDER_JSON_EXPIRES ", " ORDER_JSON_CREATED              \
    ", " ORDER_JSON_UPDATED ", o.reference, o.payment_problem, o.payment_param"
#define ORDER_JSON_COLUMN_COUNT 14
#define ORDER_JSON_HISTORY                                                                         \
    "(select json_strip_nulls(json_agg(json_build_object('status', e.status, 'reason', e.reason, " \
    "'place_in_line', e.place_in_line, 'at', " ORDER_JSON_TIME(                                    \
        "e.created_at") ") order by e.sequence)) "                                                 \
                        "from checkout.order_events e where uuid_hash(e.order_id) = "              \
                        "uuid_hash(o.order_id) and e.order_id = o.order_id)"
#define ORDER_JSON_ACTION "checkout.open_action(o.order_id)"
/* The same columns, history and action included, of an order that is in checkout.purged_orders p:
 * nothing but its end is known. */
#define ORDER_JSON_PURGED                                                                          \
    "p.order_id, p.status, p.reason, null::text, null::integer, null::bigint, null::text, "        \
    "null::bigint, null::text, null::text, " ORDER_JSON_TIME(                                      \
        "p.ended_at") ", null::text, null::text, null::text, null::json, null::text"

/* Appends the members of row `row` without the braces; absent ones are left out. `paces` may be
 * NULL: the estimated wait is left out. */
void order_json_encode(struct buf *out, const struct pg_result *result, int row,
                       struct line_paces *paces);
/* The order's place in a waitlist whose clock runs; 0: it stands in none. */
int64_t order_json_place(const struct pg_result *result, int row);
/* Appends the member about how long an order of `sku` at that place waits, where that is known.
 * `paces` may be NULL. */
void order_json_estimate(struct buf *out, struct line_paces *paces, const char *sku, int64_t place);
/* From now on `paces` listens to how the line moves where the order of that row waits. */
void order_json_watch(const struct pg_result *result, int row, struct line_paces *paces);
/* Status of that row. */
const char *order_json_status(const struct pg_result *result, int row);
/* The column ORDER_JSON_HISTORY: JSON. */
const char *order_json_history(const struct pg_result *result, int row);
/* The column ORDER_JSON_ACTION after it: JSON; NULL: the buyer need not do anything. */
const char *order_json_action(const struct pg_result *result, int row);

#endif
