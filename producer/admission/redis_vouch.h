/*
 * Whether Redis can vouch that an order which it does not know is new: only if it has lost nothing
 * for as long as a marker lives. A key in it would prove nothing, since an old snapshot brings keys
 * back. So its process is asked (INFO ALL), at each connection and once a second. It does not vouch
 * while it is away or silent, while its process has been up for less than that time, and for that
 * time after it was seen to lose keys: it evicted some, somebody cleared it (FLUSHALL, FLUSHDB,
 * SWAPDB, DEBUG) or its statistics, it was a replica, or another process answers than before. What
 * such numbers say of the time before this process looked first counts as seen then.
 *
 * Not seen are the last second, and keys that somebody deletes or overwrites one by one: there the
 * consumer's rule holds, by which the first order under an id counts.
 */
#ifndef PRODUCER_ADMISSION_REDIS_VOUCH_H
#define PRODUCER_ADMISSION_REDIS_VOUCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/redis/redis.h"
#include "common/service/metrics.h"

struct redis_vouch;

/* `redis` outlives it. `after_ms`: for how long it must have lost nothing. `vouching` is 1 while it
 * vouches, and may be NULL. NULL: no memory. */
struct redis_vouch *redis_vouch_new(struct loop *loop, struct redis *redis, uint64_t after_ms,
                                    struct metric *vouching);
/* NULL is allowed. */
void redis_vouch_free(struct redis_vouch *vouch);

/* Call it when Redis' connection comes and goes. */
void redis_vouch_connected(struct redis_vouch *vouch, bool up);
bool redis_vouches(const struct redis_vouch *vouch);

#endif
