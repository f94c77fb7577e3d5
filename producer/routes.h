/* Which request goes where. */
#ifndef PRODUCER_ROUTES_H
#define PRODUCER_ROUTES_H

#include <stddef.h>

#include "common/net/http/http.h"
#include "producer/api.h"

/* An http_handler; `arg` is a struct api. */
void routes_handle(struct http_request *request, void *api);
/* The most bytes that the body of this request may have. */
size_t routes_body_max(const struct http_request *request, const struct api *api);

#endif
