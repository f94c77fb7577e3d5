/* GET /v1/orders: a buyer's own orders, newest first. */
#ifndef PRODUCER_LISTING_H
#define PRODUCER_LISTING_H

#include "producer/door.h"

void listing_get(struct door *door, struct http_request *request);

#endif
