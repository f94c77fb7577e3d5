#include "common/service/span_json.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/base/version.h"

#define STATUS_ERROR 2 /* opentelemetry.proto.trace.v1.Status.StatusCode */

static void put_key(struct buf *out, const char *key)
{
    (void)buf_str(out, "{\"key\":");
    (void)buf_json_str(out, key);
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    put_key(out, key);
    (void)buf_str(out, ",\"value\":{\"stringValue\":");
    (void)buf_json_str(out, text);
    (void)buf_str(out, "}}");
}

/* 64 bits are text in the JSON of protobuf. */
static void put_number(struct buf *out, const char *key, int64_t number)
{
    put_key(out, key);
    (void)buf_printf(out, ",\"value\":{\"intValue\":\"%" PRId64 "\"}}", number);
}

static void put_id(struct buf *out, const char *member, const uint8_t *id, size_t bytes)
{
    char text[HEX_SIZE(TRACE_ID_BYTES)];
    hex_encode(id, bytes, text);
    (void)buf_printf(out, "\"%s\":\"%s\",", member, text);
}

static void put_notes(struct buf *out, const struct span *span)
{
    (void)buf_str(out, "\"attributes\":[");
    put_text(out, "checkout.order.id", span->order_id);
    for (size_t i = 0; i < span->note_count; i++) {
        const struct span_note *note = &span->notes[i];
        (void)buf_char(out, ',');
        if (note->is_text)
            put_text(out, note->key, note->text);
        else
            put_number(out, note->key, note->number);
    }
    (void)buf_char(out, ']');
}

static void put_span(struct buf *out, const struct span *span)
{
    (void)buf_char(out, '{');
    put_id(out, "traceId", span->ids.trace, TRACE_ID_BYTES);
    put_id(out, "spanId", span->ids.span, TRACE_SPAN_BYTES);
    if (span->has_parent)
        put_id(out, "parentSpanId", span->parent, TRACE_SPAN_BYTES);
    (void)buf_str(out, "\"name\":");
    (void)buf_json_str(out, span->name);
    (void)buf_printf(
        out,
        ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64 "\",",
        (int)span->kind, span->began_us * 1000, (span->began_us + span->took_us) * 1000);
    put_notes(out, span);
    if (span->failed)
        (void)buf_printf(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    (void)buf_char(out, '}');
}

int span_json(const struct span_source *source, const struct span_queue *queue, size_t count,
              struct buf *out)
{
    (void)buf_str(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    put_text(out, "service.name", source->program);
    (void)buf_char(out, ',');
    put_text(out, "service.version", CHECKOUT_VERSION);
    (void)buf_char(out, ',');
    put_text(out, "service.instance.id", source->process);
    (void)buf_str(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"checkout\"},\"spans\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)buf_char(out, ',');
        put_span(out, span_queue_at(queue, i));
    }
    (void)buf_str(out, "]}]}]}");
    return out->failed ? ERR_FULL : 0;
}

/* The number is text, but a number is taken, too. */
static size_t refused_of(const json_t *rejected)
{
    int64_t number = 0;
    if (json_is_integer(rejected))
        number = json_integer_value(rejected);
    else if (parse_int(json_string_value(rejected), 0, INT32_MAX, &number) < 0)
        return 0;
    return number > 0 ? (size_t)number : 0;
}

size_t span_json_refused(const char *answer, size_t len)
{
    json_t *root = json_loadb(answer, len, 0, NULL);
    const json_t *partial = json_object_get(root, "partialSuccess");
    size_t refused = refused_of(json_object_get(partial, "rejectedSpans"));
    json_decref(root);
    return refused;
}
