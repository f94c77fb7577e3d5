/* A span of an order's trace, as a collector gets it (docs/operations.md#traces). */
#ifndef COMMON_SERVICE_SPAN_H
#define COMMON_SERVICE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/shop/ids.h"
#include "common/shop/trace.h"

#define SPAN_NOTES_MAX 4
#define SPAN_TEXT_SIZE 40

/* The numbers of opentelemetry.proto.trace.v1.Span.SpanKind. */
enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3, SPAN_PRODUCER = 4, SPAN_CONSUMER = 5 };

struct span_note {
    const char *key; /* static */
    int64_t number;
    bool is_text;
    char text[SPAN_TEXT_SIZE]; /* UTF-8; cut if it is longer */
};

struct span {
    struct trace_ids ids;
    uint8_t parent[TRACE_SPAN_BYTES];
    bool has_parent;
    bool failed;
    enum span_kind kind;
    const char *name; /* static */
    int64_t began_us; /* by the wall clock */
    int64_t took_us;
    char order_id[IDS_ORDER_SIZE];
    size_t note_count;
    struct span_note notes[SPAN_NOTES_MAX];
};

/* Adds what is to be known of it; more than SPAN_NOTES_MAX are left out. `span` NULL: nothing. Keys
 * are static; texts are ASCII. */
void span_text(struct span *span, const char *key, const char *text);
void span_number(struct span *span, const char *key, int64_t number);
/* It has failed if `failed`. */
void span_fail(struct span *span, bool failed);

#endif
