/* What the API tells about itself: its document, and a page for each type of problem. Public. */
#ifndef PRODUCER_PAGES_H
#define PRODUCER_PAGES_H

#include "producer/api.h"

#define PAGES_OPENAPI "/openapi.json"

/* GET /openapi.json: schemas/openapi.yaml, with an ETag. */
void pages_openapi(struct api *api, struct http_request *request);
/* GET of a problem's type. */
void pages_problem(struct api *api, struct http_request *request, enum problem_type type);

#endif
