#include "notifier/hooks/hook_stats.h"

#include <stdio.h>

#define LABELS_SIZE 64

static struct metric *attempts(struct metrics *m, const char *labels)
{
    return metrics_counter(m, "checkout_hook_attempts_total",
                           "Attempts to deliver a webhook, by what came of them.", labels);
}

void hook_stats_init(struct hook_stats *stats, struct metrics *m)
{
    struct dispatch_stats *d = &stats->dispatch;
    stats->metrics = m;
    dispatch_stats_attempts(d, m, attempts);
    d->attempt_seconds = metrics_histogram(m, "checkout_hook_attempt_seconds",
                                           "From an attempt's beginning to its end.", NULL);
    d->in_flight = metrics_gauge(m, "checkout_hooks_in_flight",
                                 "Webhooks that are being delivered now.", NULL);
    d->overdue = metrics_gauge(m, "checkout_hooks_overdue",
                               "Webhooks of all processes that could be delivered now.", NULL);
    d->overdue_seconds =
        metrics_gauge(m, "checkout_hooks_overdue_seconds",
                      "How long the oldest of the webhooks that are due has been due.", NULL);
    d->database_up = metrics_server_up(m, METRICS_DATABASE);
}

static void show(struct hook_stats *stats, const char *endpoint, int64_t due, int64_t oldest_ms,
                 bool paused)
{
    struct metrics *m = stats->metrics;
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "endpoint=\"%.40s\"", endpoint);
    metric_set(metrics_gauge(m, "checkout_hook_endpoint_due",
                             "Webhooks that an endpoint has before it.", labels),
               (double)due);
    metric_set(metrics_gauge(m, "checkout_hook_endpoint_oldest_seconds",
                             "How old the oldest of these events is.", labels),
               (double)oldest_ms / 1000);
    metric_set(metrics_gauge(m, "checkout_hook_endpoint_paused",
                             "Whether nothing is sent to an endpoint.", labels),
               paused ? 1 : 0);
}

void hook_stats_show(struct hook_stats *stats, const struct pg_result *result)
{
    for (size_t i = 0; i < HOOK_ENDPOINTS_MAX; i++)
        if (stats->endpoints[i][0] != '\0')
            show(stats, stats->endpoints[i], 0, 0, false);
    for (int row = 0; row < HOOK_ENDPOINTS_MAX; row++) {
        bool there = row < pg_rows(result);
        (void)snprintf(stats->endpoints[row], HOOK_NAME_SIZE, "%s",
                       there ? pg_text(result, row, 0) : "");
        if (there)
            show(stats, pg_text(result, row, 0), pg_int(result, row, 1), pg_int(result, row, 2),
                 pg_bool(result, row, 3));
    }
}
