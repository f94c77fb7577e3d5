/* What a transaction of a shard has done, beside the tasks that follow from it (checkout.news). Who
 * does not know a kind of it ignores it. */
#ifndef CONSUMER_NEWS_H
#define CONSUMER_NEWS_H

#include <stdint.h>

enum news_kind {
    NEWS_TRANSITION,   /* `count` orders became `status` (for `reason`) */
    NEWS_CONFLICT,     /* a retry of `order_id` came with another body; the first one counts */
    NEWS_LATE_CAPTURE, /* the gateway took money by `intent_id` for `order_id`, which is `status`;
                          it is given back */
    NEWS_COMMAND,      /* `command_id` was executed: `status` "done" or "refused", `reason`; of an
                          item: `sku` may have changed */
    NEWS_ITEM_CHANGED  /* units of `sku` have come back, by a refund */
};

/* Strings are valid during the call that brings the news; NULL: it has none. */
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
