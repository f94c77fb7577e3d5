/* POST /v1/orders: from the request through admission and publisher to its answer. */
#ifndef PRODUCER_ORDERS_H
#define PRODUCER_ORDERS_H

#include "producer/admission/admission.h"
#include "producer/api.h"
#include "producer/publish/batcher.h"

struct orders;

/* NULL: no memory. */
struct orders *orders_new(struct api *api);
/* Forgets orders that are not answered. NULL is allowed. */
void orders_free(struct orders *orders);

void orders_post(struct api *api, struct http_request *request);

/* The callbacks of admission and publisher; `arg` is a struct api. */
void orders_verdict(struct admission_entry *entry, enum admission_verdict verdict, void *arg);
void orders_fate(void *waiter, enum batch_fate fate, void *arg);

#endif
