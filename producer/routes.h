/* Which request goes where. */
#ifndef PRODUCER_ROUTES_H
#define PRODUCER_ROUTES_H

#include "common/net/http/http.h"

/* An http_handler; `arg` is a struct api. */
void routes_handle(struct http_request *request, void *api);

#endif
