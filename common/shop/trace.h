/* Which trace an order belongs to: the header traceparent of W3C Trace Context. */
#ifndef COMMON_SHOP_TRACE_H
#define COMMON_SHOP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"

#define TRACE_SIZE (JOB_TRACEPARENT_MAX + 1)

/* Reads a header's value; of a later version than 00, what 00 knows of it. False: it is malformed,
 * which is to be ignored. */
bool trace_read(const char *header, char ret_traceparent[TRACE_SIZE]);

/* A new one, with random ids, that is not sampled. False: there is no randomness. */
MUST_CHECK bool trace_new(char ret_traceparent[TRACE_SIZE]);

#define TRACE_ID_BYTES 16
#define TRACE_SPAN_BYTES 8

/* A trace, and a span of it. */
struct trace_ids {
    uint8_t trace[TRACE_ID_BYTES];
    uint8_t span[TRACE_SPAN_BYTES];
};

/* The ids of a traceparent. False: it is malformed. */
MUST_CHECK bool trace_ids_of(const char *traceparent, struct trace_ids *ret_ids);
/* Random ones: of a new trace, and of a new span. False: there is no randomness. */
MUST_CHECK bool trace_ids_new(struct trace_ids *ret_ids);
MUST_CHECK bool trace_span_new(uint8_t ret_span[TRACE_SPAN_BYTES]);
/* The traceparent of a span that is sampled. */
void trace_ids_write(const struct trace_ids *ids, char ret_traceparent[TRACE_SIZE]);

/* Whether an order is among so many millionths of all. By the end of its id, which is a MAC: no
 * client can choose it. */
bool trace_samples(const char *order_id, uint32_t millionths);

#endif
