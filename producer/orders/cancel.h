/*
 * DELETE /v1/orders/{id}: asks the owner of the order's shard to cancel it. The order need not have
 * reached the consumer yet, which decides whether the request is in time.
 */
#ifndef PRODUCER_CANCEL_H
#define PRODUCER_CANCEL_H

#include "producer/api.h"

void cancel_delete(struct api *api, struct http_request *request, const char *id);

#endif
