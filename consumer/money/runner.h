/*
 * Takes payments and refunds through their states (attempt.h): queues and makes their calls, hears
 * answers, keeps their timers, and reports what came of them (outcome.h). Each has its durable
 * intent before it comes here; what is forgotten here is found again in the tables.
 */
#ifndef CONSUMER_MONEY_RUNNER_H
#define CONSUMER_MONEY_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "consumer/gateway/gateway_health.h"
#include "consumer/money/outcome.h"
#include "consumer/stats.h"
#include "consumer/task.h"

/* In memory at once; further ones wait in their tables for the sweep. Buyers at their banks take no
 * place of those to be charged. */
#define RUNNER_MAX 16384
#define RUNNER_WAITING_MAX 131072
#define RUNNER_REFUNDS_MAX 512

struct runner;

struct runner_options {
    struct loop *loop;
    struct pay *pay;
    struct stats *stats;
    unsigned inflight_first; /* calls at once, at the start */
    unsigned inflight_max;
    uint32_t limit_ms;       /* within which the gateway ends what it executes */
    uint32_t action_wait_ms; /* for a buyer who has to act */
    uint64_t key_age_ms;     /* an older idempotency key is not sent any more */
    outcome_cb outcome;
    gateway_stopped_cb stopped;
    void *arg;
};

/* What the options point to must outlive it. NULL: no memory. */
struct runner *runner_new(const struct runner_options *options);
/* As gateway_stop; before pay_free. NULL is allowed. */
void runner_stop(struct runner *runner);
/* Calls in flight must have been ended by pay_free before. NULL is allowed. */
void runner_free(struct runner *runner);

/* Takes it up, unless it is here already. ERR_FULL, ERR_NOMEM: the sweep comes again with it. */
MUST_CHECK int runner_add(struct runner *runner, const struct task *task);
/* The shard is not ours any more: what is not being called is forgotten, answers to the rest are
 * not reported (unless they are added again before). */
void runner_forget_shard(struct runner *runner, uint32_t shard);
/* No new calls for this shard (its release follows), until runner_forget_shard. */
void runner_hold_shard(struct runner *runner, uint32_t shard);
/* As gateway_health_stopped. */
const char *runner_stopped(const struct runner *runner);
/* Calls in flight for this shard. */
size_t runner_calling(const struct runner *runner, uint32_t shard);

#endif
