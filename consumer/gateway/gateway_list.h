/*
 * Reads the gateway's list of intents to its end, newest first, a page at a time: from a moment on,
 * by the gateway's own clock. A page that fails is asked for again, some times and with backoff.
 */
#ifndef CONSUMER_GATEWAY_GATEWAY_LIST_H
#define CONSUMER_GATEWAY_GATEWAY_LIST_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "consumer/gateway/gateway.h"

struct gateway_list;

/* Instead of when the reading began: the list's clock and ours differ by more than an hour, or it
 * tells none, so what it lacks may be there all the same. Earlier than any time. */
#define GATEWAY_LIST_UNCLEAR INT64_MIN

struct gateway_list_options {
    struct loop *loop;
    struct gateway *gateway;
    /* One of the list. It may come twice. */
    void (*intent)(const struct pay_intent *intent, void *arg);
    /* 0: the list was read to its end, the reading began at `began_ms` (monotonic). ERR_*: it was
     * given up. */
    void (*done)(int code, int64_t began_ms, void *arg);
    void *arg;
};

/* What the options point to must outlive it. NULL: no memory. */
struct gateway_list *gateway_list_new(const struct gateway_list_options *options);
/* Calls in flight must have been ended by pay_free before. NULL is allowed. */
void gateway_list_free(struct gateway_list *list);
/* Reads what was made since `oldest_ms` (monotonic), and an hour before. One reading at a time. */
void gateway_list_read(struct gateway_list *list, int64_t oldest_ms);
/* An answer of the gateway carried this date. 0: none. */
void gateway_list_heard_date(struct gateway_list *list, int64_t date_s);

#endif
