/* POST /v1/orders: from the request through gate and publisher to its answer. */
#ifndef PRODUCER_ORDERS_H
#define PRODUCER_ORDERS_H

#include "producer/batcher.h"
#include "producer/api.h"
#include "producer/admission.h"

struct orders;

/* NULL: no memory. */
struct orders *orders_new(struct door *door);
/* Orders that are not answered are forgotten. NULL is allowed. */
void orders_free(struct orders *orders);

void orders_post(struct door *door, struct http_request *request);

/* For the gate and the publisher, whose callbacks these are; `arg` is the door. */
void orders_verdict(struct gate_entry *entry, enum gate_verdict verdict, void *arg);
void orders_fate(void *waiter, enum batch_fate fate, void *arg);

#endif
