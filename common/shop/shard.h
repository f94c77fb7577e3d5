/* Which shard an item belongs to, and the names of a shard's exchange and queue. */
#ifndef COMMON_SHOP_SHARD_H
#define COMMON_SHOP_SHARD_H

#include <stddef.h>
#include <stdint.h>

#define SHARD_NAME_SIZE 64

/* XXH3_64bits(sku) % shards; `shards` is a power of two. */
uint32_t shard_of(const char *sku, size_t len, uint32_t shards);

/* "checkout.jobs.N" and "checkout.jobs.N.<shard>". */
void shard_exchange(uint32_t shards, char ret_name[SHARD_NAME_SIZE]);
void shard_queue(uint32_t shards, uint32_t shard, char ret_name[SHARD_NAME_SIZE]);
/* Routing key: the shard's number. */
void shard_routing_key(uint32_t shard, char ret_key[SHARD_NAME_SIZE]);

#define SHARD_DEAD "checkout.dead" /* exchange and queue of dead messages */
#define SHARD_LOST "checkout.lost" /* queue with a copy of each of them, for consumers */
#define SHARD_MILESTONES                                                                           \
    "checkout.milestones" /* exchange and queue of milestones (milestone_reader.h) */

/* One constant of the topology: unequal windows break the order of returned messages. */
#define SHARD_PREFETCH 32

#endif
