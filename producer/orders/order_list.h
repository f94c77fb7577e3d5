/* GET /v1/orders: a buyer's own orders, newest first. */
#ifndef PRODUCER_ORDER_LIST_H
#define PRODUCER_ORDER_LIST_H

#include "producer/api.h"

void order_list_get(struct api *api, struct http_request *request);

#endif
