/*
 * Publishes what cannot be read to checkout.dead with its reason, on a connection of its own (a
 * broker that blocks publishers must not stop our consuming), and repeats it until the broker
 * confirms. It ends a connection without a confirm for 10 s: the next one goes to another node.
 */
#ifndef CONSUMER_SHARD_DEAD_LETTER_H
#define CONSUMER_SHARD_DEAD_LETTER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "consumer/stats.h"

#define DEADLETTER_MAX 1024 /* waiting for their confirm */

struct deadletter;

/* It is safe in checkout.dead. `cookie`: the caller's own. */
typedef void (*deadletter_done_cb)(uint64_t cookie, void *arg);

struct deadletter *deadletter_open(struct loop *loop, const struct broker_options *options,
                                   struct stats *stats);
void deadletter_close(struct deadletter *deadletter);
/* Its connection, which ends with it. */
struct broker *deadletter_broker(const struct deadletter *deadletter);

/* Copies body and keeps the static `reason`. `done` comes once, from the loop. ERR_FULL, ERR_NOMEM.
 */
MUST_CHECK int deadletter_send(struct deadletter *deadletter, const char *body, size_t len,
                               const char *reason, uint64_t cookie, deadletter_done_cb done,
                               void *arg);

#endif
