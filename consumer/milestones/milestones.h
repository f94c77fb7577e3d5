/*
 * The milestones that show whether the database is the shop's newest
 * (schemas/sql/functions/milestones.sql). Each time that PostgreSQL is connected, what RabbitMQ
 * keeps and what this process remembers is compared with it; other sessions begin only then, of
 * every program, and do not where it is behind. The consumer that serves shard 0 keeps the newest
 * milestone in RabbitMQ, ten times a second at most; one that loses PostgreSQL keeps what it has
 * published there.
 */
#ifndef CONSUMER_MILESTONES_MILESTONES_H
#define CONSUMER_MILESTONES_MILESTONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "consumer/pool/pool.h"
#include "consumer/relay/relay.h"
#include "consumer/stats.h"

struct milestones;

struct milestones_options {
    struct loop *loop;
    struct broker *broker;         /* not that of the shards, which ends when PostgreSQL is away */
    struct broker_options reading; /* of a connection for each reading */
    struct pg *session;            /* it begins where others are refused */
    const char *name;              /* who compares, for people */
    const struct relay *relay;
    struct stats *stats;
    uint32_t shards;
};

/* What the options name outlives it. NULL: no memory. */
struct milestones *milestones_new(const struct milestones_options *options);
/* From now on it knows which shards are ours, and ends the sessions that serve when the database
 * turns out to be behind. `pool` may be NULL, and `options` are copied. */
void milestones_follow(struct milestones *milestones, struct pool *pool,
                       const struct pool_options *options);
/* Before its broker is closed. NULL is allowed. */
void milestones_stop(struct milestones *milestones);
/* After its broker and its session are closed, which may still answer. NULL is allowed. */
void milestones_free(struct milestones *milestones);

/* Its session is up, or was lost. */
void milestones_session_up(struct milestones *milestones);
void milestones_session_lost(struct milestones *milestones);
/* Adds a line if the database is behind, or was not compared yet. */
void milestones_say(const struct milestones *milestones, struct buf *ret_why);

#endif
