/*
 * The outbox relay: publishes committed events of our shards to Redis, in order, and then writes
 * the watermark. New events and those that a crash left take one path: it reads the table past the
 * watermark. At least once, with the same event id.
 */
#ifndef CONSUMER_RELAY_RELAY_H
#define CONSUMER_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"
#include "consumer/relay/lines.h"
#include "consumer/shard/admission_keys.h"
#include "consumer/stats.h"

struct relay;

/* It reads and writes through `session`, publishes to `redis`, and reports what it publishes, and
 * our shards, to `keys`; all outlive it. NULL: no memory. */
struct relay *relay_new(struct loop *loop, uint32_t shards, struct pg *session, struct redis *redis,
                        struct admission_keys *keys, struct stats *stats);
/* From now on an order that ends no longer counts among its customer's open ones in Redis. */
void relay_ends_open_orders(struct relay *relay);
/* From now on `lines` hears which lines move, and which shards are ours; it outlives the relay. */
void relay_tells_lines(struct relay *relay, struct lines *lines);
void relay_free(struct relay *relay);

/* The shard is ours; its events up to `watermark` are published. */
void relay_start(struct relay *relay, uint32_t shard, int64_t watermark);
/* It is ours no more; what was published and is not saved goes out again, from its next owner. */
void relay_stop(struct relay *relay, uint32_t shard);
/* Something was committed. */
void relay_kick(struct relay *relay, uint32_t shard);
/* Redis or PostgreSQL is back: read all shards. */
void relay_kick_all(struct relay *relay);
/* Everything up to the last kick is published. */
bool relay_idle(const struct relay *relay, uint32_t shard);
/* The newest event of the shard that this process has published; 0: none was. */
int64_t relay_announced(const struct relay *relay, uint32_t shard);
/* Writes the watermarks now. */
void relay_save(struct relay *relay);

#endif
