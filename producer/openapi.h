/* schemas/openapi.yaml as JSON; cmake/openapi.py makes it when the producer is built. */
#ifndef PRODUCER_OPENAPI_H
#define PRODUCER_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;
extern const char openapi_etag[]; /* with its quotes */

#endif
