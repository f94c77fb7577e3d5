/*
 * The keys that admission reads (producer/admission/admission.h), renewed by the owner of each
 * item's shard:
 * "<mode>:<state>" for 5 s at a time, so nothing stale outlives its writer by more. It writes them
 * for items that one buyer locks (admission `lock`), and for those that were sold out at the last
 * rejection; it reads their present state from the table each time. Advisory: only the consumer's
 * transactions decide, and nothing waits for these keys.
 */
#ifndef CONSUMER_SHARD_ADMISSION_KEYS_H
#define CONSUMER_SHARD_ADMISSION_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"
#include "common/service/metrics.h"

struct admission_keys;

/* All of these outlive it. `foreign` counts states that others wrote. NULL: no memory. */
struct admission_keys *admission_keys_new(struct loop *loop, uint32_t shards, struct pg *session,
                                          struct redis *redis, struct metric *foreign);
void admission_keys_free(struct admission_keys *keys);

/* Whether we write keys for the items of the shard. */
void admission_keys_serve(struct admission_keys *keys, uint32_t shard, bool serving);
/* An event of one of them. An order that has ended releases the item's lock. */
void admission_keys_saw(struct admission_keys *keys, uint32_t shard, const char *sku,
                        const char *order_id, const char *status, const char *reason);
/* An operator changed the item: renews its key at once. */
void admission_keys_changed(struct admission_keys *keys, const char *sku);

#endif
