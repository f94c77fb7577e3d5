#include "common/shop/shard.h"

#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

uint32_t shard_of(const char *sku, size_t len, uint32_t shards)
{
    assert(shards != 0 && (shards & (shards - 1)) == 0);
    return (uint32_t)(XXH3_64bits(sku, len) & (shards - 1));
}

void shard_exchange(uint32_t shards, char ret_name[SHARD_NAME_SIZE])
{
    (void)snprintf(ret_name, SHARD_NAME_SIZE, "checkout.jobs.%u", shards);
}

void shard_queue(uint32_t shards, uint32_t shard, char ret_name[SHARD_NAME_SIZE])
{
    (void)snprintf(ret_name, SHARD_NAME_SIZE, "checkout.jobs.%u.%u", shards, shard);
}

void shard_routing_key(uint32_t shard, char ret_key[SHARD_NAME_SIZE])
{
    (void)snprintf(ret_key, SHARD_NAME_SIZE, "%u", shard);
}
