/* One attempt to deliver a webhook, from its claim to its record. */
#ifndef NOTIFIER_HOOKS_HOOK_ATTEMPT_H
#define NOTIFIER_HOOKS_HOOK_ATTEMPT_H

#include "common/base/buf.h"
#include "common/net/http/curl.h"
#include "common/net/pg/pg_result.h"
#include "common/shop/hook_body.h"
#include "common/shop/hook_keys.h"
#include "common/shop/ids.h"
#include "notifier/dispatch/dispatch_attempt.h"
#include "notifier/hooks/hook_limits.h"
#include "notifier/hooks/hook_outcome.h"

#define HOOK_HEADERS_MAX 8
#define HOOK_HEADERS_BYTES ((size_t)2048)

/* The columns of checkout.claim_hooks, as c, in this order, and the order's trace. */
#define HOOK_CLAIM_COLUMNS                                                                         \
    "delivery_id, attempt, tries, endpoint, url, event_id, order_id, sequence, type, reason,"      \
    " amount, at_ms, age_ms, user_id, sku, quantity, currency, reference,"                         \
    " (select o.traceparent from checkout.orders o where o.order_id = c.order_id)"

struct hook_attempt {
    struct dispatch_attempt base;
    struct hooks *hooks;
    char endpoint[HOOK_NAME_SIZE];
    char order_id[IDS_ORDER_SIZE]; /* "": a test */
    char id[HOOK_ID_SIZE];
    bool test;
    int64_t tries;  /* since it was first due, or due again */
    int64_t age_ms; /* since then */
    struct buf url;
    struct buf body;
    struct curl_call *call; /* NULL: none is under way */
    unsigned status;        /* HTTP's; 0: there was no answer */
    int64_t duration_ms;
    int64_t hold_ms; /* for which its endpoint is to be left alone */
    char answer[HOOK_ANSWER_SIZE];
};

/* Of a row of a claim. NULL: no memory. */
struct hook_attempt *hook_attempt_new(const struct pg_result *result, int row);
/* Cancels its call, if it is under way. */
void hook_attempt_free(struct hook_attempt *attempt);
/* Writes its header lines into `text`, and where each is into `ret_lines`, with NULL at the end. 0,
 * ERR_NOMEM or ERR_FULL. */
MUST_CHECK int hook_attempt_headers(const struct hook_attempt *attempt,
                                    const struct hook_keys *keys, int64_t timestamp_s,
                                    struct buf *text, const char *ret_lines[HOOK_HEADERS_MAX + 1]);

#endif
