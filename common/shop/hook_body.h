/* What a webhook carries (Standard Webhooks: type, timestamp, data), and its id. */
#ifndef COMMON_SHOP_HOOK_BODY_H
#define COMMON_SHOP_HOOK_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define HOOK_ID_SIZE 40
#define HOOK_BODY_MAX ((size_t)16 * 1024)
#define HOOK_TYPE_PREFIX "order."

/* Strings are not owned; NULL: absent. */
struct hook_event {
    int64_t event_id; /* 0: a test */
    const char *type; /* order.confirmed, … */
    int64_t time_ms;
    const char *order_id;
    int64_t sequence; /* within the order; 0: it changed no state */
    const char *reason;
    const char *user_id;
    const char *sku;
    int64_t quantity;
    bool has_amount;
    int64_t amount; /* minor units */
    const char *currency;
    const char *reference;
};

/* Every type that there is, NULL at the end. */
extern const char *const hook_types[];

/* The value of webhook-id: the same at each attempt; of a test, by its number. */
void hook_id(const struct hook_event *event, int64_t delivery, char ret_id[HOOK_ID_SIZE]);
/* Appends it as JSON. 0, ERR_NOMEM or ERR_FULL. */
MUST_CHECK int hook_body(const struct hook_event *event, struct buf *out);

#endif
