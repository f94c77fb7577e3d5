/*
 * The keys that the door's gate reads (producer/admission.h), kept alive by the owner of each
 * item's shard: "<mode>:<state>" for 5 s at a time, so nothing stale outlives its writer by more.
 * Written are items that are locked while somebody buys them (gate `lock`), and those that were
 * sold out when an order was last rejected for that; what they are now is read from the table each
 * time. Advisory: the counter alone decides, and nothing here is awaited by anybody.
 */
#ifndef CONSUMER_SHARD_ADMISSION_KEYS_H
#define CONSUMER_SHARD_ADMISSION_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"

struct admission_keys;

/* All of these outlive it. NULL: no memory. */
struct admission_keys *admission_keys_new(struct loop *loop, uint32_t shards, struct pg *session,
                                          struct redis *redis);
void admission_keys_free(struct admission_keys *keys);

/* Whether the items of the shard are ours to speak of. */
void admission_keys_serve(struct admission_keys *keys, uint32_t shard, bool serving);
/* An event of one of them is told. An order that has ended gives the item's lock back. */
void admission_keys_saw(struct admission_keys *keys, uint32_t shard, const char *sku,
                        const char *order_id, const char *status, const char *reason);
/* An operator has changed the item: its key is looked at at once. */
void admission_keys_changed(struct admission_keys *keys, const char *sku);

#endif
