/* What a transaction of a shard did, besides the tasks that follow from it (checkout.news). A
 * program ignores kinds that it does not know. */
#ifndef CONSUMER_NEWS_H
#define CONSUMER_NEWS_H

#include <stdint.h>

enum news_kind {
    NEWS_TRANSITION,   /* `count` orders became `status` (for `reason`) */
    NEWS_CONFLICT,     /* a retry of `order_id` has another body; the first one counts */
    NEWS_LATE_CAPTURE, /* the gateway took money by `intent_id` for `order_id`, which is `status`; a
                          refund follows */
    NEWS_COMMAND,      /* `command_id` was executed: `status` "done" or "refused", `reason`; of an
                          item: `sku` may have changed */
    NEWS_ITEM_CHANGED, /* a refund returned units of `sku` */
    NEWS_SET_ASIDE,   /* `count` jobs of `sku` (and maybe of others) were set aside, for `reason` */
    NEWS_NOT_RECORDED /* the outcome of `order_id` waits: its item's row is locked by another */
};

/* Strings are valid during the callback; NULL: it has none. */
struct news {
    enum news_kind kind;
    const char *order_id;
    const char *sku;
    const char *status; /* never NULL for TRANSITION and COMMAND */
    const char *reason;
    const char *intent_id;
    int64_t command_id;
    int64_t count;
};

#endif
