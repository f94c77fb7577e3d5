/* Metrics in Prometheus' text format. Names start with checkout_, base units; no SKU or user
 * labels. */
#ifndef COMMON_SERVICE_METRICS_H
#define COMMON_SERVICE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/*
 * Declares a metric, or one series of it: `labels` is NULL or the text between the braces
 * (`reason="full"`). The same name with other labels adds a series. Strings must live as long as
 * `metrics`, except `labels`, which is copied. Owned by `metrics`. NULL: no memory, and every call
 * below takes NULL and does nothing.
 */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels);
/* Buckets for seconds: 0.5 ms to 60 s, about three a decade. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels);

/* Whether a server can be used: checkout_<server>_up, the same in every program. */
enum metrics_server { METRICS_BROKER, METRICS_DATABASE, METRICS_REDIS };
struct metric *metrics_server_up(struct metrics *metrics, enum metrics_server server);

void metric_add(struct metric *metric, double amount);
void metric_set(struct metric *metric, double value);
double metric_value(const struct metric *metric); /* of a histogram: the sum */
void metric_observe(struct metric *metric, double seconds);

/* Appends the exposition (process_resident_memory_bytes, process_cpu_seconds_total and
 * checkout_build_info included). */
MUST_CHECK int metrics_render(const struct metrics *metrics, struct buf *out);

#endif
