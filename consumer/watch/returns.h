/*
 * What went back, or is disputed, of payments that have ended, by whomever: after a hint the
 * gateway's refunds and disputes of the payment are listed, and reported as they are. A look that
 * fails is made again, with backoff; its row (checkout.return_looks) outlives this process.
 */
#ifndef CONSUMER_WATCH_RETURNS_H
#define CONSUMER_WATCH_RETURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "consumer/gateway/gateway.h"
#include "consumer/money/outcome.h"
#include "consumer/task.h"

#define RETURNS_MAX 256 /* looks at once; further ones wait in their table */

struct returns;

struct returns_options {
    struct loop *loop;
    struct gateway *gateway;
    outcome_cb outcome;
    void *arg;
};

/* NULL: no memory. */
struct returns *returns_new(const struct returns_options *options);
/* Calls in flight must have been ended by pay_free before. NULL is allowed. */
void returns_free(struct returns *returns);
/* A task LOOK_AT_RETURNS; one that is being looked at already is looked at once more if it has
 * other hints. */
void returns_look(struct returns *returns, const struct task *task);
/* The shard is not ours any more. */
void returns_forget_shard(struct returns *returns, uint32_t shard);

#endif
