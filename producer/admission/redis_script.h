/*
 * What admission asks of Redis, and changes there: three scripts, one query each. A script runs
 * alone in Redis, by Redis' own clock, so that all producers share one count and one time.
 */
#ifndef PRODUCER_ADMISSION_REDIS_SCRIPT_H
#define PRODUCER_ADMISSION_REDIS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/redis/redis.h"
#include "producer/admission/admission_entry.h"

#define REDIS_SCRIPT_ORDERS_MAX 32 /* in one query; Redis works on it while the next ones come */

/*
 * Asks about `count` orders (REDIS_SCRIPT_ORDERS_MAX at most): a repeat passes; else the item's
 * state and lock must let it pass, and then the limits. Only an order that passes leaves its
 * marker, takes the lock, and takes a place of each limit. The answer is an array, each element for
 * redis_script_verdict. `known`: this connection has carried the script before, and its name is
 * enough. The result is redis_command's.
 */
MUST_CHECK int redis_script_ask(struct redis *redis, const struct limits *limits,
                                struct admission_entry *const *entries, size_t count, bool known,
                                redis_reply_cb answered, void *arg);
/* Redis has forgotten the script: nothing was asked. */
bool redis_script_missing(const struct redis_reply *reply);
/* The verdict of one order; also sets entry->refused. */
enum admission_verdict redis_script_verdict(const struct limits *limits,
                                            const struct redis_reply *item,
                                            struct admission_entry *entry);
/* PostgreSQL knows the order, by `fingerprint`: its marker is put right; with `unlock` the lock
 * that the order has is released, and with `put_back` so are the places that it took. */
void redis_script_mend(struct redis *redis, const struct limits *limits,
                       const struct admission_entry *entry, const char *fingerprint, bool unlock,
                       bool put_back);
/* An order that passed is not accepted after all: all that it left is removed, but only if it is
 * still its own. */
void redis_script_take_back(struct redis *redis, const struct limits *limits,
                            const struct admission_entry *entry);

#endif
