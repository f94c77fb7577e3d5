/*
 * Whether Redis can vouch for an order that it does not know: only if its process has been up for
 * as long as a marker lives. A younger one has forgotten markers, and a key in it would prove
 * nothing, since an old snapshot brings keys back. So its process is asked (INFO), at each
 * connection and every 10 s. What a failover to a replica loses, and what an operator deletes or
 * Redis evicts, is not seen here: there the counter's rule holds, by which the first order under an
 * id counts.
 */
#ifndef PRODUCER_ADMISSION_REDIS_VOUCH_H
#define PRODUCER_ADMISSION_REDIS_VOUCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/redis/redis.h"

struct redis_vouch;

/* `redis` outlives it. It vouches once its process has been up for `after_ms`. NULL: no memory. */
struct redis_vouch *redis_vouch_new(struct loop *loop, struct redis *redis, uint64_t after_ms);
/* NULL is allowed. */
void redis_vouch_free(struct redis_vouch *vouch);

/* Call it when Redis' connection comes and goes. */
void redis_vouch_connected(struct redis_vouch *vouch, bool up);
bool redis_vouches(const struct redis_vouch *vouch);

#endif
