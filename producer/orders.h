/* POST /v1/orders: from the request through gate and publisher to its answer. */
#ifndef PRODUCER_ORDERS_H
#define PRODUCER_ORDERS_H

#include "producer/admission.h"
#include "producer/api.h"
#include "producer/batcher.h"

struct orders;

/* NULL: no memory. */
struct orders *orders_new(struct api *api);
/* Orders that are not answered are forgotten. NULL is allowed. */
void orders_free(struct orders *orders);

void orders_post(struct api *api, struct http_request *request);

/* For the gate and the publisher, whose callbacks these are; `arg` is the door. */
void orders_verdict(struct admission_entry *entry, enum admission_verdict verdict, void *arg);
void orders_fate(void *waiter, enum batch_fate fate, void *arg);

#endif
