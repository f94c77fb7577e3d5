/*
 * Jobs that the broker took from their queue before a consumer decided them: by a TTL, a length or
 * a delivery limit, mostly of a policy. Reads the queue checkout.lost, which gets a copy of each
 * dead letter, one at a time: such a job becomes a command to the owner of its shard, which ends
 * the order so that its buyer hears of it. A letter is acknowledged after the commit of its
 * commands. Letters of consumers themselves are acknowledged and left to the operator, who has all
 * letters in checkout.dead.
 */
#ifndef CONSUMER_SHARD_LOST_JOBS_H
#define CONSUMER_SHARD_LOST_JOBS_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "common/shop/ids.h"
#include "consumer/stats.h"

struct lost_jobs;

struct lost_jobs_options {
    struct loop *loop;
    struct broker *broker; /* not that of the shards, whose channels may be few */
    struct pg *session;    /* commands are written through it */
    struct ids *ids;
    struct stats *stats;
    uint32_t shards;
};

/* Everything of the options outlives it. NULL: no memory. */
struct lost_jobs *lost_jobs_new(const struct lost_jobs_options *options);
/* Before its broker is closed: no more letters. NULL is allowed. */
void lost_jobs_stop(struct lost_jobs *lost);
/* After its session is closed, whose last answer it gets. NULL is allowed. */
void lost_jobs_free(struct lost_jobs *lost);

#endif
