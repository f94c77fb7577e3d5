/*
 * Gives payments back at the gateway. As for a charge (payer.h) each refund has its durable intent
 * before it comes here; an unclear answer is asked for again under the same key, with backoff; what
 * that key cannot tell any more, the gateway's list of refunds of the payment does. The payer's
 * gate keeps refunds back, too.
 */
#ifndef CONSUMER_MONEY_REFUNDER_H
#define CONSUMER_MONEY_REFUNDER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "consumer/money/payer.h"
#include "consumer/stats.h"
#include "consumer/task.h"

#define REFUNDER_MAX 512 /* refunds in memory; further ones wait in their table for the sweep */

struct refunder;

/* Something is to be recorded: `state` (static) as of checkout.record_refunds, `ref` the gateway's
 * id. Strings valid during the call. */
typedef void (*refunder_ended_cb)(uint32_t shard, const char *order_id, int64_t attempt,
                                  const char *state, const char *ref, int64_t amount,
                                  const char *code, void *arg);

struct refunder_options {
    struct loop *loop;
    struct pay *pay;
    struct payer *payer; /* whose gate counts */
    struct stats *stats;
    uint32_t timeout_ms; /* of one call */
    uint64_t key_age_ms; /* an older idempotency key is not sent any more */
    refunder_ended_cb ended;
    void *arg;
};

/* What the options point to must outlive it. NULL: no memory. */
struct refunder *refunder_new(const struct refunder_options *options);
/* Calls in flight must have been ended by pay_free before. NULL is allowed. */
void refunder_free(struct refunder *refunder);

/* Takes care of the refund of a TASK_REFUND, unless it is here already. ERR_FULL,
 * ERR_NOMEM. */
MUST_CHECK int refunder_add(struct refunder *refunder, uint32_t shard, const struct task *task);
/* The shard is not ours any more: as payer_forget_shard. */
void refunder_forget_shard(struct refunder *refunder, uint32_t shard);
/* Refunds of this shard that a call is in flight for. */
size_t refunder_calling(const struct refunder *refunder, uint32_t shard);

#endif
