/*
 * DELETE /v1/orders/{id}: asks the owner of the order's line to cancel it. The order need not have
 * reached the counter yet; whether it is in time is decided there.
 */
#ifndef PRODUCER_CANCEL_H
#define PRODUCER_CANCEL_H

#include "producer/api.h"

void cancel_delete(struct api *api, struct http_request *request, const char *id);

#endif
