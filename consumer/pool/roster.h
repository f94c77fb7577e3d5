/*
 * Who is in the pool, and which shard is whose: by liveness the members, by the assignment that
 * follows from them the owners and standbys, and by the table the owners as they are. No I/O.
 */
#ifndef CONSUMER_POOL_ROSTER_H
#define CONSUMER_POOL_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/assignment.h"
#include "consumer/pool/liveness.h"

/* A shard as the table had it when it was last read. */
struct roster_entry {
    int64_t owner; /* 0: released */
    int64_t epoch;
};

struct roster {
    uint32_t shards;
    struct liveness liveness;
    struct assignment_place *places; /* of each shard */
    struct roster_entry *entries;    /* of each shard */
    int64_t assigned[LIVENESS_MAX];  /* the members that `places` was made from */
    size_t assigned_count;
    bool reassigned; /* by the newest observation */
};

/* 0 or ERR_NOMEM; roster_free is allowed after either. */
MUST_CHECK int roster_init(struct roster *roster, uint32_t shards);
void roster_free(struct roster *roster);

/* We are member `self` from now on, and know of no other yet. */
void roster_join(struct roster *roster, int64_t self);
/* The table has this; a shard that does not exist is passed over. */
void roster_read(struct roster *roster, int64_t shard, int64_t owner, int64_t epoch);
/* Rows of a heartbeat of ours that succeeded at now_ms. False: we are not among those that live. */
bool roster_observe(struct roster *roster, const struct member_row *rows, size_t count,
                    uint64_t now_ms);
/* Assigns anew if those have changed that shards are assigned to. ERR_NOMEM: it stays as it was. */
MUST_CHECK int roster_assign(struct roster *roster);
/* By the table, another member that lives owns the shard. */
bool roster_elsewhere(const struct roster *roster, uint32_t shard);

#endif
