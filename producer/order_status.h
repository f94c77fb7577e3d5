/*
 * GET /v1/orders/{id}: where an order is, at once, or with `Prefer: wait=N` when it is final or N
 * seconds have passed. Who waits is woken by the buyer's events in Redis; without Redis the table
 * is looked at every few seconds.
 */
#ifndef PRODUCER_ORDER_STATUS_H
#define PRODUCER_ORDER_STATUS_H

#include "producer/api.h"

struct lookups;

/* NULL: no memory. */
struct lookups *lookups_new(struct door *door, const char *redis_url);
/* After the database session, whose end answers what is pending. NULL is allowed. */
void lookups_free(struct lookups *lookups);

void lookups_get(struct door *door, struct http_request *request, const char *id);
/* Answers those that wait with what there is, and lets nobody wait any more. */
void lookups_drain(struct lookups *lookups);

#endif
