/*
 * The sweep: with every heartbeat it looks in the tables for work of the shards that we serve and
 * that no memory may hold.
 */
#ifndef CONSUMER_SHARD_SWEEP_H
#define CONSUMER_SHARD_SWEEP_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "consumer/shard/shard.h"

struct sweep {
    struct pg *session;
    struct shard *shards; /* all of them; not owned */
    uint32_t count;
    uint32_t *serving;    /* scratch */
    int64_t cancels_seen; /* how far it has come in cancels without a shard */
};

/* 0 or ERR_NOMEM. Everything passed must outlive it. */
MUST_CHECK int sweep_init(struct sweep *sweep, struct pg *session, struct shard *shards,
                          uint32_t count);
void sweep_free(struct sweep *sweep);
void sweep_run(struct sweep *sweep);

#endif
