#include "producer/orders/order_spans.h"

void order_spans_answer(struct spans *spans, struct span_mark *span, const char *order_id,
                        struct http_request *request, unsigned status)
{
    struct span *ended = spans_end(spans, span, "POST /v1/orders", SPAN_SERVER, order_id);
    if (ended == NULL)
        return;
    span_text(ended, "http.request.method", "POST");
    span_text(ended, "http.route", "/v1/orders");
    span_number(ended, "http.response.status_code", status);
    span_text(ended, "checkout.request.id", http_request_id(request));
    span_fail(ended, status >= 500);
}

void order_spans_sent(struct spans *spans, const char *order_id, const char *traceparent,
                      uint64_t since_us, bool confirmed)
{
    struct span *ended =
        spans_record(spans, order_id, traceparent, since_us, "send checkout.jobs", SPAN_PRODUCER);
    span_text(ended, "messaging.system", "rabbitmq");
    span_text(ended, "messaging.operation.type", "send");
    span_fail(ended, !confirmed);
}
