/*
 * What this member does about a shard, decided again at each heartbeat: a function of the live
 * members, of their assignment, of the table, of the shard's own state, and of how often the shard
 * came back. Pure.
 */
#ifndef CONSUMER_POOL_PLAN_H
#define CONSUMER_POOL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/shop/assignment.h"
#include "consumer/pool/liveness.h"

/* Keeps a younger ownership: after this time the assigned owner has read the table, and its
 * take-over does not cross ours. (tests/model shows how otherwise the two fence each other for
 * ever.) */
#define PLAN_YIELD_AGE_MS 2000

/* The broker feeds us a shard whose assigned owner lives and is ready. Either its channel was lost
 * for a moment, or the broker does not feed it: then it notices and is not ready. Until then we
 * keep the shard: 6 s, and twice as long each further time that it comes back. */
#define PLAN_BOUNCED_AGE_MS 6000
#define PLAN_BOUNCED_AGE_MAX_MS UINT64_C(60000)
/* Our channel stays closed so long after the release, so that the owner reads the table meanwhile
 * and takes the shard. If the broker feeds us even then, the owner is fenced, and so notices that
 * the broker does not feed it. */
#define PLAN_BOUNCED_PAUSE_MS 2500

/* The part that is the same for all shards at a heartbeat. */
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
    int64_t epoch;     /* from the same read */
    bool held;         /* this member serves it, or is about to */
    uint64_t taken_ms; /* when it last began to serve it */
};

/* Of one shard, from one heartbeat to the next; zeroed at first. */
struct plan_history {
    uint64_t taken_ms;  /* the newest ownership that plan has seen */
    int64_t bounced_by; /* the assigned owner that gave the shard back to us */
    uint64_t age_ms;    /* how long we keep it from that owner; 0: it did not come back */
};

enum plan_step {
    PLAN_KEEP,
    PLAN_YIELD,
    PLAN_TAKE,      /* if it is still at plan.epoch */
    PLAN_TAKE_BACK, /* if the table still has our name on it */
};

struct plan {
    int64_t assigned; /* the owner by the assignment */
    bool wanted;      /* this member keeps a channel on it */
    enum plan_step step;
    int64_t epoch;
    uint64_t pause_ms; /* with PLAN_YIELD: how long the channel stays closed after the release */
    const char *why;   /* static; NULL with PLAN_KEEP */
};

struct plan plan_shard(const struct plan_view *view, const struct plan_shard *shard,
                       struct plan_history *history);

#endif
