/* GET /v1/items and /v1/items/{sku}: what is on sale. Public. Answers are kept for half a second,
 * and all who ask for the same meanwhile share one query, since thousands watch a drop. */
#ifndef PRODUCER_ITEMS_H
#define PRODUCER_ITEMS_H

#include "producer/api.h"

struct items;

/* NULL: no memory. */
struct items *items_new(void);
void items_free(struct items *items); /* after the database session; NULL is allowed */

void items_get(struct api *api, struct http_request *request, const char *sku);
/* A page, by SKU. */
void items_list(struct api *api, struct http_request *request);

#endif
