/*
 * GET /v1/orders/{id}: the status of an order, at once, or with `Prefer: wait=N` when it is final
 * or N seconds have passed. The buyer's events in Redis wake a waiting request; without Redis, the
 * table is read every few seconds.
 */
#ifndef PRODUCER_ORDER_STATUS_H
#define PRODUCER_ORDER_STATUS_H

#include "common/net/redis/redis.h"
#include "producer/api.h"

struct order_status;

/* NULL: no memory. */
struct order_status *order_status_new(struct api *api, const struct redis_server *redis);
/* Call it after the end of the database session, which answers what is pending. NULL is allowed. */
void order_status_free(struct order_status *status);

void order_status_get(struct api *api, struct http_request *request, const char *id);
/* Answers waiting requests with the present status; from now on none waits. */
void order_status_drain(struct order_status *status);

#endif
