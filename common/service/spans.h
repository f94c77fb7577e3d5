/*
 * Spans of orders, where the settings want them (span_settings.h). Which orders have spans is
 * decided by the order's id alone, the same in every program; not by the client.
 *
 * A program whose settings want none has NULL for `spans`, which every call takes. Pure but for the
 * clock.
 */
#ifndef COMMON_SERVICE_SPANS_H
#define COMMON_SERVICE_SPANS_H

#include "common/base/attrs.h"
#include "common/service/span.h"

struct spans {
    uint32_t millionths; /* of all orders */
    /* A place for a span that has ended, to be filled before this turn of the loop ends. */
    struct span *(*add)(void *arg);
    void *arg;
};

/* A span that is under way. All zero: there is none, and every call does nothing. */
struct span_mark {
    struct trace_ids ids;
    uint8_t parent[TRACE_SPAN_BYTES];
    bool has_parent;
    bool on;
    uint64_t began_us; /* by the monotonic clock */
};

/* Begins a span of an order, under that of `traceparent`; NULL: as the first of a new trace. False,
 * with all zero: none is made. */
bool spans_begin(struct spans *spans, const char *order_id, const char *traceparent,
                 struct span_mark *ret_mark);
/* The traceparent of what the span causes. */
void span_mark_traceparent(const struct span_mark *mark, char ret_traceparent[TRACE_SIZE]);
/* Ends it, and returns it for what else is to be known of it (span_text and its siblings) before
 * this turn of the loop ends. NULL: it was none. `name`: static. */
struct span *spans_end(struct spans *spans, struct span_mark *mark, const char *name,
                       enum span_kind kind, const char *order_id);
/* The two for what has ended, from `began_us` of the monotonic clock until now. An order without a
 * trace (NULL or "") has none. */
struct span *spans_record(struct spans *spans, const char *order_id, const char *traceparent,
                          uint64_t began_us, const char *name, enum span_kind kind);

#endif
