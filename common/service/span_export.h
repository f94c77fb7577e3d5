/*
 * Posts spans to an OpenTelemetry collector, a batch at a time. No caller waits: while the
 * collector is slow or away its queue fills, and what has no place in it is lost and counted.
 */
#ifndef COMMON_SERVICE_SPAN_EXPORT_H
#define COMMON_SERVICE_SPAN_EXPORT_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/service/metrics.h"
#include "common/service/span_json.h"

#define SPAN_EXPORT_QUEUE 2048 /* spans that wait, at most */
#define SPAN_EXPORT_BATCH 256  /* spans of one request */
#define SPAN_EXPORT_TRIES 5    /* for one batch */
#define SPAN_EXPORT_HEADERS 8

struct span_export_options {
    struct loop *loop;
    struct metrics *metrics;
    const char *endpoint; /* base URL */
    const char *headers;  /* lines for each request, with a newline between two; "": none */
    const char *ca_file;  /* "": the system's */
    uint32_t timeout_ms;
    struct span_source source;
    uint32_t delay_ms; /* that a span waits for others */
    uint32_t retry_ms; /* before a batch's second try; doubled for each further one */
};

struct span_export;

/* The source's texts must outlive it. NULL: no memory. */
struct span_export *span_export_new(const struct span_export_options *options);
/* What waits is lost. NULL is allowed. */
void span_export_free(struct span_export *export);
/* A place for a span that has ended, to be filled before this turn of the loop ends. */
struct span *span_export_add(struct span_export *export);
/* Runs the loop, which nothing else should need any more, until all is sent, the collector fails,
 * or `most_ms` have passed. */
void span_export_finish(struct span_export *export, uint64_t most_ms);

#endif
