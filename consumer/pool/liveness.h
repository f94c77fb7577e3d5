/*
 * Which members of the pool are alive, as one of them sees it. It judges heartbeats by their change
 * on the observer's own monotonic clock: a member is dead when its counter did not move for 5 s
 * while the observer's own heartbeats succeeded, or when its session lock was gone at two of them
 * without a heartbeat between. After a gap of its own the observer starts again, and for the same
 * time the lock alone proves nothing. So neither a database that stalls nor one that restarts makes
 * a member look dead. Pure.
 */
#ifndef CONSUMER_POOL_LIVENESS_H
#define CONSUMER_POOL_LIVENESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVENESS_MAX 256
#define LIVENESS_DEAD_MS 5000
#define LIVENESS_GAP_MS 2000

/* One row of a heartbeat's answer. */
struct member_row {
    int64_t id;
    int64_t heartbeat;
    bool ready;
    bool locked; /* holds its session lock */
};

struct member {
    int64_t id;
    int64_t heartbeat;
    uint64_t changed_ms; /* when the counter last moved, or was first seen */
    unsigned unlocked; /* observations in a row without the lock, and without a heartbeat between */
    bool ready;
    bool alive;
};

struct liveness {
    int64_t self;
    uint64_t observed_ms; /* of the newest observation; 0: none */
    uint64_t gap_ms;      /* of the newest after a gap; 0: none */
    struct member list[LIVENESS_MAX];
    size_t count;
};

void liveness_init(struct liveness *m, int64_t self);
/* Takes the rows of our own heartbeat that succeeded at now_ms (monotonic). It ignores rows above
 * LIVENESS_MAX: our own and those with a lock come first. */
void liveness_observe(struct liveness *m, const struct member_row *rows, size_t count,
                      uint64_t now_ms);
bool liveness_alive(const struct liveness *m, int64_t id);
/* Alive, and reports that it can do its job. */
bool liveness_ready(const struct liveness *m, int64_t id);
/* Ids of the members that get shards, in ascending order: the ready ones, or if there is none all
 * that live, so that a shop without a ready member still has owners. Returns how many. */
size_t liveness_assignable(const struct liveness *m, int64_t ret_ids[LIVENESS_MAX]);
/* Our own heartbeats have succeeded without a gap for so long that no member judges us dead. */
bool liveness_steady(const struct liveness *m, uint64_t now_ms);

#endif
