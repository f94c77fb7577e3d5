/*
 * When to leave a node of RabbitMQ that is connected and places no orders: it refuses every
 * message, or is silent to several shards, for 3 s, while another node may do better. One shard
 * alone may be without a leader, at every node. Ever more rarely, since what was sent and not
 * confirmed is unknown then. Pure.
 */
#ifndef PRODUCER_PUBLISH_NODE_PATIENCE_H
#define PRODUCER_PUBLISH_NODE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/backoff.h"

struct node_patience {
    struct backoff backoff;
    uint64_t leave_ms; /* no node is left before this */
    uint64_t since_ms; /* nothing was confirmed since then; 0: not so */
    uint64_t seen_ms;  /* when that was seen last */
};

void node_patience_init(struct node_patience *patience, uint64_t seed);
/* Another node is connected. */
void node_patience_connected(struct node_patience *patience);
/* It has confirmed a message. */
void node_patience_confirmed(struct node_patience *patience);
/* It has confirmed nothing since `since_ms`, as is seen now. */
void node_patience_useless(struct node_patience *patience, uint64_t since_ms, uint64_t now_ms);
/* Whether to leave it now; true: it counts as left. */
bool node_patience_ends(struct node_patience *patience, uint64_t now_ms);

#endif
