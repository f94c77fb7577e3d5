/*
 * Spans as an ExportTraceServiceRequest in the JSON of OTLP/HTTP
 * (https://opentelemetry.io/docs/specs/otlp/), and what a collector's answer says of them. Pure.
 */
#ifndef COMMON_SERVICE_SPAN_JSON_H
#define COMMON_SERVICE_SPAN_JSON_H

#include "common/base/buf.h"
#include "common/service/span_queue.h"

/* Who makes them. */
struct span_source {
    const char *program; /* checkout-producer */
    const char *process; /* host:pid */
};

/* Appends the first `count` spans of the queue. 0 or ERR_FULL. */
MUST_CHECK int span_json(const struct span_source *source, const struct span_queue *queue,
                         size_t count, struct buf *out);
/* How many spans the answer to a request, of status 2xx, says were refused; 0: none. */
size_t span_json_refused(const char *answer, size_t len);

#endif
