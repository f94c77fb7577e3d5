/* Which numbers of shards the broker has an exchange of, for who cannot ask PostgreSQL. */
#ifndef COMMON_SHOP_TOPOLOGY_FIND_H
#define COMMON_SHOP_TOPOLOGY_FIND_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/amqp/broker.h"

#define TOPOLOGIES_MAX 11 /* 1, 2, 4, … 1,024 shards */

/* code: 0 with the numbers, ascending, valid during the call; or the error of a question. */
typedef void (*topology_found_cb)(int code, const uint32_t *shards, size_t count, void *arg);

/* By passive declarations, one after the other; `cb` comes from the loop, unless the broker is
 * closed before. ERR_UNAVAILABLE: the broker is down; ERR_NOMEM. */
MUST_CHECK int topology_find(struct broker *broker, topology_found_cb cb, void *arg);

#endif
