/*
 * The open orders of each customer: those that have no final state yet. Redis counts them for all
 * producers (REDIS_KEY_OPEN): admission adds an order for a minute, a consumer
 * removes it when it ends, and this adds those again that PostgreSQL still shows open, of the
 * customers whose orders this process let in. So what a crash left there, or took from there, is
 * right again within that time.
 */
#ifndef PRODUCER_LIMITS_OPEN_ORDERS_H
#define PRODUCER_LIMITS_OPEN_ORDERS_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"
#include "common/service/sessions.h"

#define OPEN_ORDERS_LOOK_MS 10000  /* between two looks at a customer's orders */
#define OPEN_ORDERS_USERS_MAX 4096 /* whose orders are looked at, the latest */

struct open_orders;

/* `max`: how many of one customer may be open. `redis` and `sessions` must outlive it, and it the
 * answers of the sessions. NULL: no memory. */
struct open_orders *open_orders_new(struct loop *loop, struct redis *redis,
                                    const struct sessions *sessions, int64_t max);
void open_orders_free(struct open_orders *open); /* NULL is allowed */

/* An order of this customer was let in. */
void open_orders_saw(struct open_orders *open, const char *user);

#endif
