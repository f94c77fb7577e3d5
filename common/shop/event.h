/* Events of orders as CloudEvents 1.0 in JSON, for Redis and the buyers' websockets. */
#ifndef COMMON_SHOP_EVENT_H
#define COMMON_SHOP_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define EVENT_SUBPROTOCOL "cloudevents.json"

/* Strings are not owned; NULL: absent. `status` is one of the states of an order. */
struct event {
    int64_t id; /* order_events.event_id; ids of one shard are in commit order */
    int64_t sequence;
    int64_t time_ms; /* wall clock, UTC */
    const char *order_id;
    const char *sku;
    int64_t quantity;
    const char *status;
    const char *reason;
    int64_t place_in_line; /* 0: absent */
    bool has_amount;
    int64_t amount; /* minor units */
    const char *currency;
    const char *reference;
    const char *next_action;     /* a JSON object as text */
    const char *payment_problem; /* what may help after payment_failed */
    const char *param;           /* the field of the gateway's request that was refused */
    const char *traceparent;     /* W3C Trace Context of the order's request */
};

int event_encode(struct buf *out, const struct event *event);

#endif
