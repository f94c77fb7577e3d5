/*
 * Charges reserved orders at the gateway. Each has its durable intent before it comes here; what is
 * forgotten here is found again in the tables. An unclear answer is asked for again under the same
 * idempotency key, with backoff, until it is definite. When that key can tell nothing more, the
 * gateway's list does: what it knows counts, and only if it knows nothing there is another attempt.
 */
#ifndef CONSUMER_MONEY_PAYER_H
#define CONSUMER_MONEY_PAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "consumer/stats.h"
#include "consumer/task.h"

#define PAYER_MAX 16384 /* payments in memory; further ones wait in their table for the sweep */

struct payer;

/* A payment has ended: `state` is "captured", "declined", "failed", or "superseded" (this attempt
 * took no money, the next one may be made). Or "unclear": it goes on, and this is to be recorded.
 * Or "action": it goes on when its buyer has acted; `code` is then {"wait_ms":…,"action":…}.
 * Strings valid during the call. */
typedef void (*payer_ended_cb)(uint32_t shard, const char *order_id, int64_t attempt,
                               const char *state, const char *intent, const char *code, void *arg);

/* Payments have been stopped, or (NULL) go on; `why` as payer_stopped. */
typedef void (*payer_stopped_cb)(const char *why, void *arg);

struct payer_options {
    struct loop *loop;
    struct pay *pay;
    struct stats *stats;
    unsigned inflight_max;   /* pay's */
    uint32_t timeout_ms;     /* of one call */
    uint32_t action_wait_ms; /* for a buyer who has to act */
    uint64_t key_age_ms;     /* an older idempotency key is not sent any more */
    payer_ended_cb ended;
    payer_stopped_cb stopped;
    void *arg;
};

/* What the options point to must outlive it. Items take turns, and none gets more than half of
 * `inflight_max` calls at once: so one whose payments are slow holds up no other.
 * NULL: no memory. */
struct payer *payer_new(const struct payer_options *options);
/* Calls in flight must have been ended by pay_free before. */
void payer_free(struct payer *payer);

/* Queues the payment of a TASK_CHARGE, unless it is here already. ERR_FULL, ERR_NOMEM. */
MUST_CHECK int payer_add(struct payer *payer, uint32_t shard, const struct task *task);
/* TASK_AWAIT_BUYER: so long the buyer may act. TASK_CHECK: the order's payment is looked at
 * now. */
void payer_hear(struct payer *payer, const struct task *task);
/* The shard is not ours any more: what is not being called is forgotten, answers to the rest are
 * not reported (unless they are added again before). */
void payer_forget_shard(struct payer *payer, uint32_t shard);
/* No new calls for this shard (it is about to be given back), until payer_forget_shard. */
void payer_hold_shard(struct payer *payer, uint32_t shard);
/* Why only probes are sent to the gateway: "misconfigured" (it refuses our key or requests),
 * "failing"; NULL: payments go on. */
const char *payer_stopped(const struct payer *payer);
/* Calls in flight for this shard. */
size_t payer_calling(const struct payer *payer, uint32_t shard);

/* For other calls at the same gateway, which the same gate keeps back. Whether one may begin now;
 * else `ret_wait_ms` says when to ask again. */
bool circuit_breaker_open(const struct payer *payer, uint32_t *ret_wait_ms);
/* It begins. True: it is the probe, which its answer is to be told with. */
bool circuit_breaker_called(struct payer *payer);
/* It was answered; `old`: with a result of earlier; `definite`: it tells what it should, whatever
 * its outcome is. */
void circuit_breaker_answered(struct payer *payer, const struct pay_answer *answer, bool old,
                              bool definite, bool probe);

#endif
