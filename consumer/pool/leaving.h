/* How a member leaves the pool: when all its shards are released it is struck off; after 9 s it is
 * gone in any case, since what it has begun is in the tables. */
#ifndef CONSUMER_POOL_LEAVING_H
#define CONSUMER_POOL_LEAVING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "consumer/shard/shard.h"

struct leaving {
    struct pg *session;
    const struct shard_membership *membership;
    const struct shard *shards;
    uint32_t shard_count;
    void (*left)(void *arg);
    void *arg;
    struct loop_timer *limit;
    bool sent;
    bool done; /* `left` was called */
};

/* The other members are set by the caller. 0 or ERR_NOMEM. */
MUST_CHECK int leaving_init(struct leaving *leaving, struct loop *loop);
void leaving_free(struct leaving *leaving);

/* From now on it takes 9 s at most until `left` is called, once. */
void leaving_begin(struct leaving *leaving);
/* A shard may have been released, which may have been the last. */
void leaving_check(struct leaving *leaving);

#endif
