/*
 * How full the shards' queues are, as metrics. The producer shows it because it lives when no
 * consumer does. Each producer shows all queues.
 */
#ifndef PRODUCER_QUEUE_DEPTH_H
#define PRODUCER_QUEUE_DEPTH_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/service/metrics.h"

struct queue_depth;

/* Asks every 5 s while the broker is connected, a few queues at once, as soon as it knows how many
 * there are. All three must outlive it, but the broker is closed first: that answers what is asked.
 * NULL: no memory. */
struct queue_depth *queue_depth_new(struct loop *loop, struct broker *broker,
                                    struct metrics *metrics);
/* There are so many shards; 0: not known. */
void queue_depth_serve(struct queue_depth *depth, uint32_t shards);
/* How many dead letters there were when it was last counted; -1: not yet. */
int64_t queue_depth_dead_letters(const struct queue_depth *depth);
void queue_depth_free(struct queue_depth *depth); /* NULL is allowed */

#endif
