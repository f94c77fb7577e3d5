#include "common/service/metrics.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/version.h"

static const double bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,   0.5,   1,      2.5,   5,    10,    30,   60};

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

/* One series. */
struct metric {
    struct metric *next; /* of the same family */
    char *labels;        /* between the braces; "" if none */
    double value;        /* of a histogram: the sum */
    uint64_t count;
    uint64_t *buckets; /* of a histogram: one for each bound, not cumulated */
};

struct family {
    struct family *next;
    const char *name;
    const char *help;
    enum kind kind;
    struct metric *series; /* in the order of declaration */
};

struct metrics {
    struct family *families;
    double started_s; /* wall clock */
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics != NULL)
        metrics->started_s = (double)clock_wall_ms() / 1000;
    return metrics;
}

static void metric_free(struct metric *metric)
{
    free(metric->labels);
    free(metric->buckets);
    free(metric);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->families != NULL) {
        struct family *family = metrics->families;
        metrics->families = family->next;
        while (family->series != NULL) {
            struct metric *metric = family->series;
            family->series = metric->next;
            metric_free(metric);
        }
        free(family);
    }
    free(metrics);
}

static struct family *family_of(struct metrics *metrics, const char *name, const char *help,
                                enum kind kind)
{
    struct family **end = &metrics->families;
    for (; *end != NULL; end = &(*end)->next)
        if (strcmp((*end)->name, name) == 0)
            return (*end)->kind == kind ? *end : NULL;
    struct family *family = calloc(1, sizeof *family);
    if (family == NULL)
        return NULL;
    family->name = name;
    family->help = help;
    family->kind = kind;
    *end = family;
    return family;
}

static struct metric *metric_new(const char *labels, enum kind kind)
{
    struct metric *metric = calloc(1, sizeof *metric);
    if (metric == NULL)
        return NULL;
    metric->labels = strdup(labels);
    if (kind == KIND_HISTOGRAM)
        metric->buckets = calloc(ARRAY_LEN(bounds), sizeof *metric->buckets);
    if (metric->labels == NULL || (kind == KIND_HISTOGRAM && metric->buckets == NULL)) {
        metric_free(metric);
        return NULL;
    }
    return metric;
}

/* The series, an existing one if it was declared before. */
static struct metric *declare(struct metrics *metrics, const char *name, const char *help,
                              const char *labels, enum kind kind)
{
    struct family *family = metrics == NULL ? NULL : family_of(metrics, name, help, kind);
    if (family == NULL)
        return NULL;
    if (labels == NULL)
        labels = "";
    struct metric **end = &family->series;
    for (; *end != NULL; end = &(*end)->next)
        if (strcmp((*end)->labels, labels) == 0)
            return *end;
    *end = metric_new(labels, kind);
    return *end;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels)
{
    return declare(metrics, name, help, labels, KIND_COUNTER);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels)
{
    return declare(metrics, name, help, labels, KIND_GAUGE);
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels)
{
    return declare(metrics, name, help, labels, KIND_HISTOGRAM);
}

struct metric *metrics_server_up(struct metrics *metrics, enum metrics_server server)
{
    static const struct {
        const char *name;
        const char *help;
    } rows[] = {
        [METRICS_BROKER] = {"checkout_broker_up", "1 while RabbitMQ is connected and usable."},
        [METRICS_DATABASE] = {"checkout_database_up", "1 while PostgreSQL is connected."},
        [METRICS_REDIS] = {"checkout_redis_up", "1 while Redis is connected."},
    };
    return metrics_gauge(metrics, rows[server].name, rows[server].help, NULL);
}

void metric_add(struct metric *metric, double amount)
{
    if (metric != NULL)
        metric->value += amount;
}

void metric_set(struct metric *metric, double value)
{
    if (metric != NULL)
        metric->value = value;
}

double metric_value(const struct metric *metric)
{
    return metric == NULL ? 0 : metric->value;
}

void metric_observe(struct metric *metric, double seconds)
{
    if (metric == NULL || metric->buckets == NULL)
        return;
    metric->count++;
    metric->value += seconds;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        if (seconds <= bounds[i]) {
            metric->buckets[i]++;
            return;
        }
    }
}

/* Whole numbers without a fraction (counters stay exact up to 2^53), others with their significant
 * digits. */
static void append_number(struct buf *out, double value)
{
    if (value == floor(value) && fabs(value) < 9e15)
        (void)buf_int(out, (int64_t)value);
    else
        (void)buf_printf(out, "%.9g", value);
}

static void render_sample(struct buf *out, const char *name, const char *labels, double value)
{
    (void)buf_str(out, name);
    if (labels[0] != '\0')
        (void)buf_printf(out, "{%s}", labels);
    (void)buf_char(out, ' ');
    append_number(out, value);
    (void)buf_char(out, '\n');
}

static void render_histogram(struct buf *out, const char *name, const struct metric *metric)
{
    const char *comma = metric->labels[0] == '\0' ? "" : ",";
    uint64_t below = 0;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        below += metric->buckets[i];
        (void)buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, metric->labels, comma,
                         bounds[i], (unsigned long long)below);
    }
    (void)buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, metric->labels, comma,
                     (unsigned long long)metric->count);
    char derived[128];
    (void)snprintf(derived, sizeof derived, "%s_sum", name);
    render_sample(out, derived, metric->labels, metric->value);
    (void)snprintf(derived, sizeof derived, "%s_count", name);
    render_sample(out, derived, metric->labels, (double)metric->count);
}

static void render_head(struct buf *out, const char *name, const char *help, const char *type)
{
    (void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void render_family(struct buf *out, const struct family *family)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    render_head(out, family->name, family->help, types[family->kind]);
    for (const struct metric *metric = family->series; metric != NULL; metric = metric->next) {
        if (family->kind == KIND_HISTOGRAM)
            render_histogram(out, family->name, metric);
        else
            render_sample(out, family->name, metric->labels, metric->value);
    }
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    (void)fclose(file); /* only read */
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* ".", ".." and the directory itself */
    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir); /* only read */
    return count;
}

static double cpu_seconds(void)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage); /* cannot fail for oneself */
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void render_process(struct buf *out, double started_s)
{
    const struct {
        const char *name;
        const char *help;
        const char *type;
        double value;
    } samples[] = {
        {"process_resident_memory_bytes", "Resident memory.", "gauge", resident_bytes()},
        {"process_cpu_seconds_total", "User and system CPU time.", "counter", cpu_seconds()},
        {"process_open_fds", "Open file descriptors.", "gauge", open_files()},
        {"process_start_time_seconds", "Start, since 1970.", "gauge", started_s},
        {"checkout_log_lines_lost_total", "Log lines that standard error did not take.", "counter",
         (double)log_lines_lost()},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        render_head(out, samples[i].name, samples[i].help, samples[i].type);
        (void)buf_printf(out, "%s %.15g\n", samples[i].name, samples[i].value);
    }
    render_head(out, "checkout_build_info", "The program's version.", "gauge");
    (void)buf_str(out, "checkout_build_info{version=\"" CHECKOUT_VERSION "\"} 1\n");
}

int metrics_render(const struct metrics *metrics, struct buf *out)
{
    for (const struct family *family = metrics->families; family != NULL; family = family->next)
        render_family(out, family);
    render_process(out, metrics->started_s);
    return out->failed ? ERR_FULL : 0;
}
