/*
 * How many shards the producer sends to. PostgreSQL says how many are in service, and is asked
 * twice a second, since the number may change; CHECKOUT_SHARDS may say it, too. While neither does,
 * because PostgreSQL is away, the only exchange of ours that RabbitMQ has says it. Until it is
 * known, and where setting and PostgreSQL disagree, no orders are taken: they would go to queues
 * that no consumer reads. A producer that does not know a new number yet takes none either: the
 * exchange of the old one has no bindings.
 */
#ifndef PRODUCER_SHARD_COUNT_H
#define PRODUCER_SHARD_COUNT_H

#include <stdint.h>

#include "producer/api.h"

struct shard_count;

/* `setting` is 0 if it is not set. It uses api->publisher and api->sessions, once
 * their connections are there. NULL: no memory. */
struct shard_count *shard_count_new(struct api *api, uint32_t setting);
void shard_count_free(struct shard_count *count); /* NULL is allowed */
/* PostgreSQL's session for reading is connected: asks it. */
void shard_count_connected(struct shard_count *count);

#endif
