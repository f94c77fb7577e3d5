/* The shop's feed: how its events are asked for, and how they look as JSON. */
#ifndef COMMON_SHOP_EVENT_JSON_H
#define COMMON_SHOP_EVENT_JSON_H

#include "common/base/buf.h"
#include "common/net/pg/pg.h"

/* Parameters: the positions of a cursor (cursor.h) as an array, events of each shard at most, and
 * whether to show those that are not final. Rows by event_id; the position of a row's shard is its
 * event_id from then on, shown or not. */
extern const struct pg_statement event_json_feed;
enum event_json_column {
    EVENT_JSON_SHARD,
    EVENT_JSON_ID,
    EVENT_JSON_SHOWN,
    EVENT_JSON_AT,
    EVENT_JSON_ORDER,
    EVENT_JSON_SEQUENCE,
    EVENT_JSON_STATUS,
    EVENT_JSON_REASON,
    EVENT_JSON_USER,
    EVENT_JSON_SKU,
    EVENT_JSON_QUANTITY,
    EVENT_JSON_AMOUNT,
    EVENT_JSON_CURRENCY,
    EVENT_JSON_REFERENCE
};

/* Appends the members of a row that is shown, without the braces; absent ones are left out. */
void event_json_encode(struct buf *out, const struct pg_result *result, int row);

#endif
