/* Which trace an order belongs to: the header traceparent of W3C Trace Context. */
#ifndef COMMON_SHOP_TRACE_H
#define COMMON_SHOP_TRACE_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"

#define TRACE_SIZE (JOB_TRACEPARENT_MAX + 1)

/* Reads a header's value; of a later version than 00, what 00 knows of it. False: it is malformed,
 * which is to be ignored. */
bool trace_read(const char *header, char ret_traceparent[TRACE_SIZE]);

/* A new one, with random ids, that is not sampled. False: there is no randomness. */
MUST_CHECK bool trace_new(char ret_traceparent[TRACE_SIZE]);

#endif
