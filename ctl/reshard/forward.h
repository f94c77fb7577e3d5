/*
 * Empties a queue of the old number of shards: what it holds goes to the queues of the new number,
 * in its order. A message leaves it only when its copies are confirmed, so whoever dies in between
 * leaves copies twice, and an order that is there twice counts once.
 */
#ifndef CTL_RESHARD_FORWARD_H
#define CTL_RESHARD_FORWARD_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/ids.h"
#include "ctl/ctl.h"

struct forward;

/* From `from` shards to `to`. RabbitMQ is met. An exit code after printing the problem. */
MUST_CHECK int forward_open(struct ctl *ctl, struct ids *ids, uint32_t from, uint32_t to,
                            struct forward **ret_forward);
/* Forwards all that is in the old queue of `shard` now. No other program may consume it. Returns an
 * exit code. */
MUST_CHECK int forward_empty(struct forward *forward, uint32_t shard);
/* Jobs that were forwarded. */
uint64_t forward_jobs(const struct forward *forward);
void forward_close(struct forward *forward); /* NULL is allowed */

#endif
