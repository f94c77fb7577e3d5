/*
 * Publishes jobs to their shard's queue and reports the outcome of each. It never blocks the loop,
 * and every wait has a bound: if the broker does not answer a message for 10 s, or a channel does
 * not open for so long, the connection ends, and the next one goes to another node.
 */
#ifndef PRODUCER_PUBLISHER_H
#define PRODUCER_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/shop/job.h"
#include "common/shop/topology_find.h"
#include "producer/publish/batcher.h"
#include "producer/stats.h"

struct publisher;

struct publisher_options {
    struct broker_options broker;
    uint32_t shards; /* 0: publisher_serve will say it */
    unsigned inflight_max;
};

/* Starts connecting. `fate` is called once for each job that publisher_add took. NULL: no
 * memory. */
struct publisher *publisher_open(struct loop *loop, const struct publisher_options *options,
                                 struct stats *stats, batcher_fate_cb fate, void *arg);
/* Forgets what is not confirmed, without a call. NULL is allowed. */
void publisher_close(struct publisher *publisher);

/* How many shards there are; 0: that is not known, because of `why`, which is copied, and no jobs
 * are taken. If the number changes, what has not left yet is answered BATCH_UNAVAILABLE. What was
 * sent before is settled. */
void publisher_serve(struct publisher *publisher, uint32_t shards, const char *why);
uint32_t publisher_shards(const struct publisher *publisher); /* 0: not known */
/* Asks the broker which numbers of shards it has: as topology_find. */
MUST_CHECK int publisher_find_shards(struct publisher *publisher, topology_found_cb cb, void *arg);

/* Whether jobs can be published at present; else why not, static or valid until the next turn. */
bool publisher_ready(const struct publisher *publisher, const char **ret_why);
/* Whether a further job would wait too long for its confirm: batcher_crowded. */
bool publisher_crowded(const struct publisher *publisher);
/* For /readyz: the same, and not all of the orders of the last 10 s have failed. A producer that is
 * not ready only because of this goes on trying: publisher_add takes orders. */
bool publisher_placing(const struct publisher *publisher, const char **ret_why);

/*
 * Encodes the job at once and keeps nothing of it. ERR_UNAVAILABLE: the broker is away or blocked;
 * ERR_FULL: too much waits already, in all or for this shard, or it is crowded; ERR_NOMEM. Then
 * `fate` is not called.
 */
MUST_CHECK int publisher_add(struct publisher *publisher, const struct job *job, void *waiter);
/* Jobs without an outcome yet. */
size_t publisher_jobs(const struct publisher *publisher);
/* How many dead letters RabbitMQ holds, as last counted; -1: not known. */
int64_t publisher_dead_letters(const struct publisher *publisher);

#endif
