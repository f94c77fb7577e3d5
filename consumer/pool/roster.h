/*
 * The members of the pool and the owners of shards: the members by liveness, the assigned owners
 * and standbys by assignment, the present owners by the table. No I/O.
 */
#ifndef CONSUMER_POOL_ROSTER_H
#define CONSUMER_POOL_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/assignment.h"
#include "consumer/pool/liveness.h"

/* A shard as of the last read of the table. */
struct roster_entry {
    int64_t owner; /* 0: released */
    int64_t epoch;
};

struct roster {
    uint32_t shards;
    struct liveness liveness;
    struct assignment_place *places; /* of each shard */
    struct roster_entry *entries;    /* of each shard */
    int64_t assigned[LIVENESS_MAX];  /* the members of `places` */
    size_t assigned_count;
    bool reassigned; /* by the newest observation */
};

/* 0 or ERR_NOMEM; roster_free is allowed after either. */
MUST_CHECK int roster_init(struct roster *roster, uint32_t shards);
void roster_free(struct roster *roster);

/* From now on we are member `self`, and know no other yet. */
void roster_join(struct roster *roster, int64_t self);
/* A row of the table; it ignores a shard that does not exist. */
void roster_read(struct roster *roster, int64_t shard, int64_t owner, int64_t epoch);
/* Rows of our heartbeat that succeeded at now_ms. False: we are not among the live members. */
bool roster_observe(struct roster *roster, const struct member_row *rows, size_t count,
                    uint64_t now_ms);
/* Assigns again if the members that get shards have changed. ERR_NOMEM: the assignment stays. */
MUST_CHECK int roster_assign(struct roster *roster);
/* By the table, another live member owns the shard. */
bool roster_elsewhere(const struct roster *roster, uint32_t shard);

#endif
