/*
 * Looks at the gateway, some time after a payment has ended without a capture, whether it took
 * money after all. One pass through the gateway's list serves all that are due.
 */
#ifndef CONSUMER_MONEY_LATELOOK_H
#define CONSUMER_MONEY_LATELOOK_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "consumer/money/refunder.h"
#include "consumer/task.h"

#define LATELOOK_MAX 512 /* payments of one pass; the sweep finds the others later */

struct latelook;

/* Of the options it needs loop, pay, payer, ended and arg. It reports "late" (`ref`: the intent
 * that succeeded, `amount`: what it took) and "looked". NULL: no memory. */
struct latelook *latelook_new(const struct refunder_options *options);
/* Calls in flight must have been ended by pay_free before. NULL is allowed. */
void latelook_free(struct latelook *latelook);

/* The next pass looks for the payment of this TASK_RECONCILE. If that fails, the sweep asks
 * for it again. */
void latelook_add(struct latelook *latelook, uint32_t shard, const struct task *task);

#endif
