/*
 * The lane of a shard: its writing transactions, one at a time. Whatever has gathered meanwhile
 * goes into the next one: ended payments, jobs, commands, lines with more to settle, orders that
 * waited too long take turns, so none of them holds the others up.
 */
#ifndef CONSUMER_SHARD_SHARD_WRITER_H
#define CONSUMER_SHARD_SHARD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/clock.h"
#include "common/base/loop.h"
#include "consumer/shard/orders_db.h"
#include "consumer/money/outcomes.h"
#include "consumer/shard/intake.h"
#include "consumer/stats.h"

#define LANE_LINES_MAX 256 /* items whose lines have more to settle; the sweep finds the others */
#define LANE_CHUNK 500     /* orders of a line settled in one transaction */
#define LANE_COMMANDS 64   /* commands of one transaction */

struct lane_events {
    void (*fenced)(void *arg);    /* the epoch is over */
    void (*committed)(void *arg); /* there may be events to relay */
    /* charge this order, give this payment back, look whether it took money */
    void (*pay)(const struct counter_effect *effect, void *arg);
    void (*item_changed)(const char *sku, void *arg); /* by an operator's command, or a refund */
    void (*batch_decided)(void *arg);                 /* all jobs of intake.batch are decided */
    void (*failed)(const char *why, void *arg); /* memory is out: close the channel, start afresh */
};

enum lane_work {
    LANE_NOTHING,
    LANE_SETTLE,
    LANE_REFUND,
    LANE_DECIDE,
    LANE_COMMAND,
    LANE_LINE,
    LANE_CLOCK,
    LANE_EXPIRE
};

struct lane {
    struct counter_place place; /* epoch 0: closed, nothing is written */
    int64_t wait_ms;
    struct intake *intake; /* the shard's */
    struct stats *stats;
    const struct lane_events *events;
    void *arg;

    enum lane_work running; /* the transaction in flight */
    int64_t running_epoch;
    enum lane_work last;
    uint64_t started_us;
    bool batch_told; /* batch_decided was called for this batch */
    bool taking;     /* jobs are taken; false while the shard is being given back */
    bool expire_due;
    bool command_due;
    const char *stopped; /* why payments are stopped (static); NULL: they go on */
    bool clock_due;      /* ... and the shard's clock may not know it yet */
    struct loop_timer *retry;

    struct endings payments;
    struct endings refunds; /* and late looks */
    char lines[LANE_LINES_MAX][JOB_SKU_MAX + 1];
    size_t line_count;
};

/* 0 or ERR_NOMEM. Everything passed must outlive the lane; place.epoch is 0. */
MUST_CHECK int lane_init(struct lane *lane, struct loop *loop, const struct counter_place *place,
                         int64_t wait_ms, struct intake *intake, struct stats *stats,
                         const struct lane_events *events, void *arg);
void lane_free(struct lane *lane);

/* Opens it under a new epoch. */
void lane_open(struct lane *lane, int64_t epoch);
/* The epoch is over, or its session lost: forgets settlements and lines (the next owner finds them
 * in the tables). A transaction in flight may still be answered. */
void lane_close(struct lane *lane);
/* Starts the next transaction if none is in flight. */
void lane_kick(struct lane *lane);
/* No transaction in flight, nothing that has ended at the gateway waiting, no batch begun. */
bool lane_idle(const struct lane *lane);

/* A payment has ended. Strings but `state` (static) are copied. 0 or ERR_NOMEM. */
MUST_CHECK int lane_add_settlement(struct lane *lane, const char *order_id, int64_t attempt,
                                   const char *state, const char *intent, const char *code);
/* A refund has ended, or something is to be recorded of it: a state of checkout.settle_refunds. */
MUST_CHECK int lane_add_refund(struct lane *lane, const char *order_id, int64_t attempt,
                               const char *state, const char *ref, int64_t amount,
                               const char *code);
/* Payments are stopped (`why`: static), and so is the clock by which lines expire; or (NULL) both
 * go on. */
void lane_stop_payments(struct lane *lane, const char *why);
/* The line of `sku` has more to settle. */
void lane_add_line(struct lane *lane, const char *sku);

#endif
