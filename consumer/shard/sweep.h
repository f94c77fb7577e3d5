/*
 * The sweep: with every heartbeat it searches the tables for work of our shards that memory may not
 * hold. Open payments, and items with a waitlist, come in pages, one a heartbeat, round and round.
 */
#ifndef CONSUMER_SHARD_SWEEP_H
#define CONSUMER_SHARD_SWEEP_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "consumer/shard/orders_db.h"
#include "consumer/shard/shard.h"

struct sweep {
    struct pg *session;
    struct shard *shards; /* all of them; not owned */
    uint32_t count;
    struct stats *stats;           /* not owned */
    uint32_t *serving;             /* scratch */
    int64_t cancels_seen;          /* its position among cancels without a shard */
    struct orders_db_payment seen; /* ... and among open payments; "": at their beginning */
    struct orders_db_item item;    /* ... and among items with a waitlist */
};

/* 0 or ERR_NOMEM. Everything passed must outlive it. */
MUST_CHECK int sweep_init(struct sweep *sweep, struct pg *session, struct shard *shards,
                          uint32_t count, struct stats *stats);
void sweep_free(struct sweep *sweep);
void sweep_run(struct sweep *sweep);

#endif
