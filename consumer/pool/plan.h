/*
 * What this member does about a shard, decided anew at each heartbeat: a function of who is alive,
 * of the assignment that follows from it, of what the table and the shard itself show, and of how
 * often the shard came back. Pure.
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

/* The broker fed us a shard whose assigned owner lives and is ready. Either its channel was lost
 * for a moment, or the broker does not feed it: then it finds out and is not ready. Until then we
 * keep the shard: 6 s, and twice as long each further time that it comes back to us. */
#define PLAN_BOUNCED_AGE_MS 6000
#define PLAN_BOUNCED_AGE_MAX_MS 60000
/* And our channel stays closed so long after the release, so that the owner looks meanwhile and
 * takes it. If the broker feeds us even then, the owner is fenced, and sees by that that it is not
 * fed. */
#define PLAN_BOUNCED_PAUSE_MS 2500

/* What is the same for all shards at a heartbeat. */
struct plan_view {
    int64_t self;
    uint64_t now_ms;
    bool leaving;
    bool reassigned; /* at this heartbeat: the others may not have seen it yet */
    const struct liveness *liveness;
};

/* One shard. */
struct plan_shard {
    struct assignment_place place;
    int64_t owner;     /* by the table, perhaps outdated; 0: released */
    int64_t epoch;     /* by the same reading of it */
    bool held;         /* this member serves it, or is about to */
    uint64_t taken_ms; /* when it began to serve it, the last time */
};

/* Of one shard, from one heartbeat to the next; zeroed at first. */
struct plan_history {
    uint64_t taken_ms;  /* the ownership that was last looked at */
    int64_t bounced_by; /* the assigned owner that the shard came back from */
    uint64_t age_ms;    /* how long it is kept from that owner; 0: it did not come back */
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
    uint64_t pause_ms; /* with PLAN_YIELD: how long the channel stays closed after the release */
    const char *why;   /* static; NULL with PLAN_KEEP */
};

struct plan plan_shard(const struct plan_view *view, const struct plan_shard *shard,
                       struct plan_history *history);

#endif
