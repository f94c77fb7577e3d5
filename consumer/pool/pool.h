/*
 * This process as a member of the pool: it beats once a second, sees from the others' beats who is
 * alive, ranks owners and standbys, and tells its shards to open, take over or yield. With every
 * beat it also sweeps: it looks in the tables for work that nobody may have in memory.
 */
#ifndef CONSUMER_POOL_POOL_H
#define CONSUMER_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/pg/pg.h"
#include "consumer/shard/shard.h"

struct pool;

struct pool_options {
    const char *name;   /* what operators see; "": host:pid */
    struct pg *control; /* session for beats and sweeps; its callbacks go to pool_control_* */
    struct pg *const *sessions; /* of the shards: shard i writes through sessions[i % count] */
    size_t session_count;
    void (*wrong_shards)(int64_t serving, void *arg); /* PostgreSQL serves another N */
    void (*left)(void *arg);                          /* pool_leave is done */
    void *arg;
};

/* Takes over context->stuck, released, arg and member. NULL: no memory. */
struct pool *pool_new(struct shard_context *context, const struct pool_options *options);
void pool_free(struct pool *pool);

void pool_control_up(struct pool *pool);
void pool_session_up(struct pool *pool, const struct pg *session);
void pool_session_lost(struct pool *pool, const struct pg *session);
void pool_bus_up(struct pool *pool);

struct shard *pool_shard(struct pool *pool, uint32_t number);
/* A member of the pool, whose beats succeed. */
bool pool_joined(const struct pool *pool, struct buf *ret_why);
/* Gives every shard back, leaves the pool, then calls `left`; after 9 s at the latest. */
void pool_leave(struct pool *pool);

#endif
