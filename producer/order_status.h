/*
 * GET /v1/orders/{id}: where an order is, at once, or with `Prefer: wait=N` when it is final or N
 * seconds have passed. Who waits is woken by the buyer's events in Redis; without Redis the table
 * is looked at every few seconds.
 */
#ifndef PRODUCER_ORDER_STATUS_H
#define PRODUCER_ORDER_STATUS_H

#include "producer/api.h"

struct order_status;

/* NULL: no memory. */
struct order_status *order_status_new(struct api *api, const char *redis_url);
/* After the database session, whose end answers what is pending. NULL is allowed. */
void order_status_free(struct order_status *lookups);

void order_status_get(struct api *api, struct http_request *request, const char *id);
/* Answers those that wait with what there is, and lets nobody wait any more. */
void order_status_drain(struct order_status *lookups);

#endif
