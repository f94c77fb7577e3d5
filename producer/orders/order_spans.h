/* What is to be known of the spans of an order's request. */
#ifndef PRODUCER_ORDERS_ORDER_SPANS_H
#define PRODUCER_ORDERS_ORDER_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net/http/http.h"
#include "common/service/spans.h"

/* The request is about to be answered: ends its span, if it has one. */
void order_spans_answer(struct spans *spans, struct span_mark *span, const char *order_id,
                        struct http_request *request, unsigned status);
/* The broker has answered, or not in time, to the order that was given to the publisher at
 * `since_us`. `traceparent`: of the request's span. */
void order_spans_sent(struct spans *spans, const char *order_id, const char *traceparent,
                      uint64_t since_us, bool confirmed);

#endif
