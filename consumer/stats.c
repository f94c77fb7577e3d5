#include "consumer/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/pay/currency.h"
#include "common/pay/pay.h"
#include "common/shop/status.h"

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

/* metrics_counter returns an existing series; it copies the labels. */
static struct metric *transitions(struct stats *s, enum order_state state, const char *reason)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "status=\"%s\",reason=\"%s\"", order_state_word(state),
                   reason);
    return metrics_counter(s->metrics, "checkout_order_transitions_total",
                           "Changes of orders' states.", labels);
}

static struct metric *outcomes(struct stats *s, enum order_state state)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "status=\"%s\"", order_state_word(state));
    return metrics_histogram(s->metrics, "checkout_outcome_seconds",
                             "From an order's acceptance to its end.", labels);
}

static struct metric *taken(struct stats *s, const char *labels)
{
    return metrics_counter(s->metrics, "checkout_money_confirmed_total",
                           "Amounts of confirmed orders, in whole units of the currency.", labels);
}

static struct metric *returned(struct stats *s, const char *labels)
{
    return metrics_counter(s->metrics, "checkout_money_refunded_total",
                           "Amounts of refunded orders, in whole units of the currency.", labels);
}

static struct metric *commands(struct stats *s, const char *state)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "state=\"%s\"", state);
    return metrics_counter(s->metrics, "checkout_commands_total", "Commands executed.", labels);
}

static struct metric *payments(struct stats *s, const char *outcome)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    return metrics_counter(s->metrics, "checkout_payments_total", "Answers of the gateway.",
                           labels);
}

static struct metric *refunds(struct stats *s, const char *outcome)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "outcome=\"%s\"", outcome);
    return metrics_counter(s->metrics, "checkout_refunds_total",
                           "Answers of the gateway about refunds.", labels);
}

/* Series exist from the start at 0: a rate over one that appears with its first event misses it. */
static void init_labels(struct stats *s)
{
    for (int state = ORDER_STATE_WAITING; state < ORDER_STATE_COUNT; state++)
        if (state != ORDER_STATE_REJECTED)
            (void)transitions(s, (enum order_state)state, "");
    for (int reason = ORDER_REASON_NONE + 1; reason < ORDER_REASON_COUNT; reason++)
        (void)transitions(s, ORDER_STATE_REJECTED, order_reason_word((enum order_reason)reason));
    for (int state = ORDER_STATE_CONFIRMED; state <= ORDER_STATE_CANCELLED; state++)
        s->outcome_seconds[state] = outcomes(s, (enum order_state)state);
    (void)commands(s, command_state_word(COMMAND_STATE_DONE));
    (void)commands(s, command_state_word(COMMAND_STATE_REFUSED));
    for (int outcome = 0; outcome < PAY_OUTCOMES; outcome++) {
        (void)payments(s, pay_outcome_text((enum pay_outcome)outcome));
        (void)refunds(s, pay_outcome_text((enum pay_outcome)outcome));
    }
}

static void init_redis(struct stats *s, struct metrics *m)
{
    s->redis_up = metrics_server_up(m, METRICS_REDIS);
    s->foreign_states =
        metrics_counter(m, "checkout_foreign_states_total",
                        "Items' states in Redis that were not ours and were deleted.", NULL);
    s->events_relayed =
        metrics_counter(m, "checkout_events_relayed_total", "Events published to Redis.", NULL);
    s->lines_published = metrics_counter(m, "checkout_lines_published_total",
                                         "Messages to Redis of how waitlists stand.", NULL);
    s->relay_seconds = metrics_histogram(m, "checkout_relay_seconds",
                                         "From an event's commit to Redis' answer.", NULL);
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
    init_redis(s, m);
    s->decision_seconds =
        metrics_histogram(m, "checkout_decision_seconds",
                          "From an order's acceptance to the commit of its decision.", NULL);
    s->milestone_waits_seconds =
        metrics_gauge(m, "checkout_milestone_waits_seconds",
                      "How long the newest milestone has waited to be kept in RabbitMQ.", NULL);
    s->broker_up = metrics_server_up(m, METRICS_BROKER);
    s->database_up = metrics_server_up(m, METRICS_DATABASE);
    init_labels(s);
    return 0;
}

void stats_free(struct stats *s)
{
    free(s->of_shard);
    s->of_shard = NULL;
}

void stats_transition(struct stats *s, const char *status, const char *reason, int64_t count)
{
    enum order_state state = order_state_of(status);
    if (state == ORDER_STATE_NONE) {
        log_warning("transition not counted: unknown state", LOG_STR("status", status));
        return;
    }
    metric_add(transitions(s, state, reason == NULL ? "" : reason), (double)count);
}

/* A currency's series come with its first event, which is none of money: at 0. */
static void count_money(struct stats *s, enum order_state state, const struct stats_event *event)
{
    const struct currency *currency =
        event->currency == NULL ? NULL : currency_find(event->currency);
    if (currency == NULL)
        return;
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "currency=\"%s\"", currency->code);
    double amount = currency_units(currency, event->amount);
    metric_add(taken(s, labels), state == ORDER_STATE_CONFIRMED ? amount : 0);
    metric_add(returned(s, labels), state == ORDER_STATE_REFUNDED ? amount : 0);
}

void stats_event(struct stats *s, const struct stats_event *event)
{
    enum order_state state = order_state_of(event->status);
    double seconds = event->after_ms < 0 ? 0 : (double)event->after_ms / 1000;
    if (event->sequence == 1)
        metric_observe(s->decision_seconds, seconds);
    metric_observe(s->outcome_seconds[state], seconds);
    count_money(s, state, event);
}

void stats_command(struct stats *s, const char *state)
{
    metric_add(commands(s, state), 1);
}

void stats_payment(struct stats *s, const char *outcome)
{
    metric_add(payments(s, outcome), 1);
}

void stats_refund(struct stats *s, const char *outcome)
{
    metric_add(refunds(s, outcome), 1);
}
