/*
 * Dead letters that an operator wants tried again, by the console: a command without a shard. One
 * consumer at a time does it, and no checkoutctl meanwhile (a lock in PostgreSQL). It reads all
 * letters of checkout.dead; each job that can be read now becomes a command to the owner of its
 * shard, which sets it aside and then decides it. A letter is acknowledged after the commit of its
 * commands; the others go back. Whoever dies in between leaves letters whose jobs are known: the
 * next replay only takes them away.
 */
#ifndef CONSUMER_SHARD_DEAD_REPLAY_H
#define CONSUMER_SHARD_DEAD_REPLAY_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "common/shop/ids.h"

struct dead_replay;

struct dead_replay_options {
    struct loop *loop;
    struct broker *broker; /* not that of the shards */
    struct pg *session;    /* commands are written through it */
    struct ids *ids;
    uint32_t shards;
};

/* Everything of the options outlives it. NULL: no memory. */
struct dead_replay *dead_replay_new(const struct dead_replay_options *options);
/* Before its broker is closed: no more letters. NULL is allowed. */
void dead_replay_stop(struct dead_replay *replay);
/* After broker and session are closed, whose last answers it gets. NULL is allowed. */
void dead_replay_free(struct dead_replay *replay);

#endif
