/*
 * What this member does about a shard, decided anew at each heartbeat: a function of who is alive,
 * of the assignment that follows from it, and of what the table and the shard itself show. Pure.
 */
#ifndef CONSUMER_POOL_PLAN_H
#define CONSUMER_POOL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/shop/assignment.h"
#include "consumer/pool/liveness.h"

/* A younger ownership is kept: by then the assigned owner has looked, and does not cross our
 * take-over with its own. (tests/model shows the two fencing each other for ever.) */
#define PLAN_YIELD_AGE_MS 2000

/* What is the same for all shards at a heartbeat. */
struct plan_view {
    int64_t self;
    bool leaving;
    bool reassigned; /* at this heartbeat: the others may not have seen it yet */
    const struct liveness *liveness;
};

/* One shard. */
struct plan_shard {
    struct assignment_place place;
    int64_t owner; /* by the table, perhaps outdated; 0: released */
    int64_t epoch; /* by the same reading of it */
    bool held;     /* this member serves it, or is about to */
    uint64_t served_ms;
};

enum plan_step {
    PLAN_KEEP,
    PLAN_YIELD,
    PLAN_TAKE,      /* if it is still at plan.epoch */
    PLAN_TAKE_BACK, /* if the table still has our name on it */
};

struct plan {
    int64_t assigned; /* the owner by the assignment */
    bool wanted;      /* this member is to keep a channel on it */
    enum plan_step step;
    int64_t epoch;
    const char *why; /* static; NULL with PLAN_KEEP */
};

struct plan plan_shard(const struct plan_view *view, const struct plan_shard *shard);

#endif
