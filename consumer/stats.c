#include "consumer/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"

#define LABELS_SIZE 96

static void init_shard(struct stats_shard *s, struct metrics *m, uint32_t shard)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "shard=\"%" PRIu32 "\"", shard);
    s->owned =
        metrics_gauge(m, "checkout_shard_owned", "1 while this process serves the shard.", labels);
    s->epoch =
        metrics_gauge(m, "checkout_shard_epoch",
                      "The epoch of its service of the shard; 0: it does not serve it.", labels);
    s->jobs =
        metrics_counter(m, "checkout_jobs_decided_total", "Jobs taken to be decided.", labels);
    s->take_overs = metrics_counter(m, "checkout_take_overs_total", "Shards taken over.", labels);
    s->fenced =
        metrics_counter(m, "checkout_fenced_writes_total",
                        "Writes refused because another member had taken the shard.", labels);
    s->payments = metrics_gauge(m, "checkout_payments_open",
                                "Open payments that this process handles.", labels);
    s->relay_stuck_seconds =
        metrics_gauge(m, "checkout_relay_stuck_seconds",
                      "How long events have waited without progress of the relay.", labels);
}

int stats_init(struct stats *s, struct metrics *m, uint32_t shards)
{
    struct stats_shard *of_shard = calloc(shards, sizeof *of_shard);
    if (of_shard == NULL)
        return ERR_NOMEM;
    *s = (struct stats){.metrics = m, .of_shard = of_shard};
    for (uint32_t i = 0; i < shards; i++)
        init_shard(&of_shard[i], m, i);
    s->decide_seconds =
        metrics_histogram(m, "checkout_decide_seconds", "Time of one deciding transaction.", NULL);
    s->settle_seconds =
        metrics_histogram(m, "checkout_settle_seconds", "Time of one settling transaction.", NULL);
    s->batches =
        metrics_counter(m, "checkout_batches_decided_total", "Deciding transactions.", NULL);
    s->shards_owned =
        metrics_gauge(m, "checkout_shards_owned", "Shards that this process serves.", NULL);
    s->dead_letters =
        metrics_counter(m, "checkout_dead_letters_total", "Unreadable messages and jobs.", NULL);
    s->lost_jobs = metrics_counter(m, "checkout_lost_jobs_total",
                                   "Jobs that RabbitMQ dropped before they were decided.", NULL);
    s->conflicts = metrics_counter(m, "checkout_fingerprint_conflicts_total",
                                   "Retries of an order with another body.", NULL);
    s->jobs_set_aside =
        metrics_counter(m, "checkout_jobs_set_aside_total",
                        "Jobs set aside because their item could not be decided.", NULL);
    s->items_set_aside =
        metrics_gauge(m, "checkout_items_set_aside",
                      "Items of this process's shards whose jobs are set aside.", NULL);
    s->payments_inflight =
        metrics_gauge(m, "checkout_payments_inflight", "Calls to the gateway now.", NULL);
    s->payments_waiting = metrics_gauge(m, "checkout_payments_waiting",
                                        "Payments that wait for a call or a retry.", NULL);
    s->payment_seconds =
        metrics_histogram(m, "checkout_payment_seconds", "Time of one gateway call.", NULL);
    s->payments_stopped = metrics_gauge(m, "checkout_payments_stopped",
                                        "1 while payments are stopped but for probes.", NULL);
    s->payments_misconfigured =
        metrics_gauge(m, "checkout_payments_misconfigured",
                      "1 while the gateway refuses our key or our requests.", NULL);
    s->refunds_open =
        metrics_gauge(m, "checkout_refunds_open", "Open refunds that this process handles.", NULL);
    s->late_successes =
        metrics_counter(m, "checkout_late_successes_total",
                        "Late captures: payments that succeeded for closed orders.", NULL);
    s->events_relayed =
        metrics_counter(m, "checkout_events_relayed_total", "Events published to Redis.", NULL);
    s->relay_seconds = metrics_histogram(m, "checkout_relay_seconds",
                                         "From an event's commit to Redis' answer.", NULL);
    s->broker_up = metrics_server_up(m, METRICS_BROKER);
    s->database_up = metrics_server_up(m, METRICS_DATABASE);
    s->redis_up = metrics_server_up(m, METRICS_REDIS);
    return 0;
}

void stats_free(struct stats *s)
{
    free(s->of_shard);
    s->of_shard = NULL;
}

/* metrics_counter returns an existing series; it copies the labels. */
void stats_transition(struct stats *s, const char *status, const char *reason, int64_t count)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "status=\"%s\",reason=\"%s\"", status,
                   reason == NULL ? "" : reason);
    metric_add(metrics_counter(s->metrics, "checkout_order_transitions_total",
                               "Changes of orders' states.", labels),
               (double)count);
}

void stats_command(struct stats *s, const char *state)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "state=\"%s\"", state);
    metric_add(metrics_counter(s->metrics, "checkout_commands_total", "Commands executed.", labels),
               1);
}

void stats_payment(struct stats *s, const char *outcome)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    metric_add(
        metrics_counter(s->metrics, "checkout_payments_total", "Answers of the gateway.", labels),
        1);
}

void stats_refund(struct stats *s, const char *outcome)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    metric_add(metrics_counter(s->metrics, "checkout_refunds_total",
                               "Answers of the gateway about refunds.", labels),
               1);
}
