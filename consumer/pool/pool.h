/*
 * This process as a member of the pool: it sends a heartbeat once a second, judges from the others'
 * heartbeats which members are alive, assigns owners and standbys, and makes its shards open, take
 * over or yield (plan.h). With every heartbeat it also sweeps.
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
    const char *name;           /* what operators see; "": host:pid */
    uint32_t shards;            /* CHECKOUT_SHARDS; 0: not set */
    struct pg *heartbeat;       /* only for heartbeats, so that no slow query delays one */
    struct pg *control;         /* for sweeps and notifications */
    struct pg *outbox;          /* the relay's: serving needs it */
    struct pg *const *sessions; /* of the shards: shard i writes through sessions[i % count] */
    size_t session_count;
    void (*wrong_shards)(int64_t serving, void *arg); /* PostgreSQL has another number of shards */
    void (*left)(void *arg);                          /* pool_leave has finished */
    void *arg;
};

/* `context` must outlive it. NULL: no memory. */
struct pool *pool_new(const struct shard_context *context, const struct pool_options *options);
/* NULL is allowed. */
void pool_free(struct pool *pool);

void pool_heartbeat_up(struct pool *pool);
void pool_control_up(struct pool *pool);
void pool_session_up(struct pool *pool, const struct pg *session);
void pool_session_lost(struct pool *pool, const struct pg *session);
void pool_broker_up(struct pool *pool);

/* The routing of work that names a shard. */
struct shard_routing *pool_routing(struct pool *pool, uint32_t shard);
/* A member of the pool, whose heartbeats succeed, and that can do its job (readiness.h). */
bool pool_ready(const struct pool *pool, struct buf *ret_why);
/* Releases every shard, leaves the pool, then calls `left`; after 9 s at the latest. */
void pool_leave(struct pool *pool);

#endif
