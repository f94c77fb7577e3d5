/* An event as a row of the tables, which the relay and the replays select alike. */
#ifndef COMMON_SHOP_EVENT_ROW_H
#define COMMON_SHOP_EVENT_ROW_H

#include "common/net/pg/pg.h"
#include "common/shop/event.h"

/* The first columns of the result, in this order; a statement may have its own after them. */
enum event_column {
    EVENT_ROW_ID,
    EVENT_ROW_SEQUENCE,
    EVENT_ROW_TIME_MS,
    EVENT_ROW_ORDER_ID,
    EVENT_ROW_SKU,
    EVENT_ROW_QUANTITY,
    EVENT_ROW_STATUS,
    EVENT_ROW_REASON,
    EVENT_ROW_PLACE,
    EVENT_ROW_AMOUNT,
    EVENT_ROW_CURRENCY,
    EVENT_ROW_REFERENCE,
    EVENT_ROW_NEXT_ACTION,
    EVENT_ROW_PAYMENT_PROBLEM,
    EVENT_ROW_PARAM,
    EVENT_ROW_TRACEPARENT,
    EVENT_ROW_COLUMNS
};

/* The event's strings are the result's. */
struct event event_of_row(const struct pg_result *result, int row);

#endif
