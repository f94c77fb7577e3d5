/*
 * What the broker must hold: the exchange and the quorum queues of N shards, and the dead letters'.
 * `checkoutctl topology` declares it; daemons check it at start.
 */
#ifndef COMMON_SHOP_TOPOLOGY_H
#define COMMON_SHOP_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/amqp/broker.h"

struct topology_options {
    uint32_t shards;
    int64_t queue_max_bytes; /* only for declaring */
    int64_t replicas;        /* only for declaring */
    bool unbound;            /* only for declaring: the queues of shards get no bindings */
};

/* code: 0, or the first error, with a line that names the exchange or queue and a remedy. */
typedef void (*topology_cb)(int code, const char *problem, void *arg);
typedef void (*topology_progress_cb)(uint32_t done, uint32_t total,
                                     void *arg); /* NULL is allowed */

/* Declares everything, in order, idempotently; a queue that exists with other arguments is an
 * error. */
MUST_CHECK int topology_declare(struct broker *broker, const struct topology_options *options,
                                topology_progress_cb progress, topology_cb cb, void *arg);
/* Checks that exchange and queues of `shards` exist (passive declares). */
MUST_CHECK int topology_check(struct broker *broker, uint32_t shards, topology_cb cb, void *arg);
/* Checks that everything exists and that the queues have these arguments; it creates nothing. */
MUST_CHECK int topology_compare(struct broker *broker, const struct topology_options *options,
                                topology_progress_cb progress, topology_cb cb, void *arg);

#endif
