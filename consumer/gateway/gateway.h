/*
 * Calls at the payment gateway: whose turn it is, how many may be made, and whether any may be made
 * at all. Callers queue; when one's turn comes, `make` makes its call, and what it was answered is
 * heard here too.
 */
#ifndef CONSUMER_GATEWAY_GATEWAY_H
#define CONSUMER_GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "consumer/gateway/fair_queue.h"
#include "consumer/gateway/gateway_health.h"
#include "consumer/stats.h"

/* Calls of a kind have a queue, and a share of the calls, of their own. */
enum gateway_kind { GATEWAY_CHARGES, GATEWAY_LOOKS, GATEWAY_REFUNDS, GATEWAY_KINDS };

/* Part of whatever is called; zeroed at first. */
struct gateway_call {
    struct fair_queue_entry entry; /* first: a call is found by its entry */
    TAILQ_ENTRY(gateway_call) link;
    enum gateway_kind kind; /* that it is queued or made as */
    uint64_t called_us;     /* 0: never called */
    bool probe;             /* it tells whether others may go on */
    bool slow;              /* it takes long, and no place in the window */
};

struct gateway_options {
    struct loop *loop;
    struct pay *pay;
    struct stats *stats;
    unsigned inflight_first; /* calls at once, at the start */
    unsigned inflight_max;
    /* Before its turn. False: it is not to be called, and has left the queue. */
    bool (*ready)(struct gateway_call *call, void *arg);
    /* It is its turn. 0: its call is made, and gateway_called was called. ERR_INVALID: no such call
     * can be made; it has left the queue. Others: it is asked again, soon. */
    int (*make)(struct gateway_call *call, void *arg);
    gateway_stopped_cb stopped;
    void *arg; /* of `ready` and `make` */
    void *stopped_arg;
};

struct gateway;

/* What the options point to must outlive it. NULL: no memory. */
struct gateway *gateway_new(const struct gateway_options *options);
/* Calls are not touched; those in flight must have been ended by pay_free before. NULL is allowed.
 */
void gateway_free(struct gateway *gateway);

/* Waits for its turn among those of its kind; the turns go round the items. ERR_NOMEM. */
MUST_CHECK int gateway_queue(struct gateway *gateway, struct gateway_call *call,
                             enum gateway_kind kind, const char *sku);
/* It does not wait any more. */
void gateway_leave(struct gateway *gateway, struct gateway_call *call);
/* In `make`: its call is in flight. */
void gateway_called(struct gateway *gateway, struct gateway_call *call);
/* It is answered. `who`: of a charge, whose order it is; NULL: it is no charge. `kept`: what the
 * gateway has stored, which says nothing about now. */
void gateway_answered(struct gateway *gateway, struct gateway_call *call,
                      const struct pay_answer *answer, const struct circuit_breaker_refusal *who,
                      bool kept);

/* For the end of the process: no more calls are made, and `pay` is not used, so that it may be
 * freed while shards are still given up. */
void gateway_stop(struct gateway *gateway);
/* Calls in flight; 0 after gateway_stop. */
size_t gateway_inflight(const struct gateway *gateway);
/* Has calls made while there is room for them. */
void gateway_pump(struct gateway *gateway);
/* Whether a call beside those may be made now, of a list, say; it is counted as made. */
bool gateway_may_call(struct gateway *gateway);
struct pay *gateway_pay(const struct gateway *gateway);
/* As gateway_health_stopped. */
const char *gateway_stopped(const struct gateway *gateway);

#endif
