/* POST /v1/webhooks/stripe: the gateway reports that something happened to a payment. This is only
 * a hint to the owner of the order, which then asks the gateway. */
#ifndef PRODUCER_WEBHOOK_H
#define PRODUCER_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/ids.h"
#include "producer/api.h"

#define WEBHOOK_WORD_SIZE 256

struct webhook_event {
    char id[WEBHOOK_WORD_SIZE];
    char type[WEBHOOK_WORD_SIZE];
    /* of the object that it is about; "": not said */
    char order_id[IDS_ORDER_SIZE];
    char intent[WEBHOOK_WORD_SIZE]; /* its payment */
    char object[WEBHOOK_WORD_SIZE]; /* its id */
    char status[WEBHOOK_WORD_SIZE];
    bool matters; /* it may change an order */
    bool live;    /* real money */
};

/* ERR_PARSE: it is no event. */
MUST_CHECK int webhook_read(const char *body, size_t len, struct webhook_event *ret_event);

/* Only where CHECKOUT_WEBHOOK_SECRET_FILE is set. */
void webhook_post(struct api *api, struct http_request *request);

#endif
