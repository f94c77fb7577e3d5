/*
 * Where a shard's work goes: ended payments, and what the sweep and commands find, to the writer;
 * payments to consumer/money/. It routes nothing while the shard is not ours: its owner finds the
 * work in the tables.
 */
#ifndef CONSUMER_SHARD_SHARD_ROUTING_H
#define CONSUMER_SHARD_SHARD_ROUTING_H

#include <stdint.h>

#include "consumer/shard/orders_db.h"
#include "consumer/shard/ownership.h"
#include "consumer/shard/shard_money.h"
#include "consumer/shard/shard_writer.h"

struct shard_routing {
    uint32_t shard;
    const struct ownership *ownership;
    struct shard_writer *writer;
    const struct shard_money *money;
};

/* The epoch under which this process serves the shard; 0: it does not. */
int64_t shard_routing_epoch(const struct shard_routing *routing);

/* A new state of one of its payments or refunds. */
void shard_routing_outcome(struct shard_routing *routing, const struct outcome *outcome);
/* As shard_writer_stop_payments. */
void shard_routing_stop_payments(struct shard_routing *routing, const char *why);

/* Work that the sweep or a notification found. */
void shard_routing_expired(struct shard_routing *routing, const char *sku);
void shard_routing_commands(struct shard_routing *routing);
void shard_routing_waitlist(struct shard_routing *routing, const char *sku);
/* Jobs of an item are set aside, and their next try is due. */
void shard_routing_aside(struct shard_routing *routing, const char *sku);
/* A task about a payment; not while the shard is being released. */
void shard_routing_payment(struct shard_routing *routing, const struct task *task);

#endif
