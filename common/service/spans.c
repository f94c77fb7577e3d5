#include "common/service/spans.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

bool spans_begin(struct spans *spans, const char *order_id, const char *traceparent,
                 struct span_mark *ret_mark)
{
    struct trace_ids above;
    *ret_mark = (struct span_mark){0};
    if (spans == NULL || !trace_samples(order_id, spans->millionths))
        return false;
    struct span_mark mark = {.began_us = clock_mono_us()};
    if (traceparent == NULL) {
        mark.on = trace_ids_new(&mark.ids);
    } else if (trace_ids_of(traceparent, &above)) {
        memcpy(mark.ids.trace, above.trace, sizeof above.trace);
        memcpy(mark.parent, above.span, sizeof above.span);
        mark.has_parent = true;
        mark.on = trace_span_new(mark.ids.span);
    }
    if (mark.on)
        *ret_mark = mark;
    return mark.on;
}

void span_mark_traceparent(const struct span_mark *mark, char ret_traceparent[TRACE_SIZE])
{
    trace_ids_write(&mark->ids, ret_traceparent);
}

struct span *spans_end(struct spans *spans, struct span_mark *mark, const char *name,
                       enum span_kind kind, const char *order_id)
{
    if (!mark->on)
        return NULL;
    struct span *span = spans->add(spans->arg);
    span->ids = mark->ids;
    memcpy(span->parent, mark->parent, sizeof span->parent);
    span->has_parent = mark->has_parent;
    span->kind = kind;
    span->name = name;
    span->took_us = (int64_t)(clock_mono_us() - mark->began_us);
    span->began_us = clock_wall_us() - span->took_us;
    (void)snprintf(span->order_id, sizeof span->order_id, "%s", order_id);
    mark->on = false;
    return span;
}

struct span *spans_record(struct spans *spans, const char *order_id, const char *traceparent,
                          uint64_t began_us, const char *name, enum span_kind kind)
{
    struct span_mark mark;
    if (traceparent == NULL || traceparent[0] == '\0' ||
        !spans_begin(spans, order_id, traceparent, &mark))
        return NULL;
    mark.began_us = began_us;
    return spans_end(spans, &mark, name, kind, order_id);
}
