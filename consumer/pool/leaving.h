/* How a member leaves the pool: it deletes its row when all its shards are released; after 9 s it
 * leaves in any case, since its open work is in the tables. */
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

/* The caller sets the other members. 0 or ERR_NOMEM. */
MUST_CHECK int leaving_init(struct leaving *leaving, struct loop *loop);
void leaving_free(struct leaving *leaving);

/* Calls `left` once, at most 9 s from now. */
void leaving_begin(struct leaving *leaving);
/* A shard may be released now, perhaps the last. */
void leaving_check(struct leaving *leaving);

#endif
