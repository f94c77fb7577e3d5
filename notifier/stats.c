#include "notifier/stats.h"

#include <stdio.h>

#include "common/base/attrs.h"

#define LABELS_SIZE 48

static struct metric *closes(struct stats *s, const char *why)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "reason=\"%s\"", why);
    return metrics_counter(s->metrics, "checkout_socket_closes_total",
                           "Websockets that ended, by what ended them.", labels);
}

static struct metric *refusals(struct stats *s, unsigned status)
{
    char labels[LABELS_SIZE];
    (void)snprintf(labels, sizeof labels, "status=\"%u\"", status);
    return metrics_counter(s->metrics, "checkout_handshakes_refused_total",
                           "Requests that did not become a websocket, by status.", labels);
}

/* Series exist from the start at 0: a rate over one that appears with its first event misses it. */
static void init_labels(struct stats *s)
{
    static const char *const reasons[] = {"full",     "gone",     "memory", "old",  "peer",
                                          "protocol", "shutdown", "silent", "slow", "stay"};
    static const unsigned statuses[] = {400, 401, 403, 404, 405, 426, 429, 503};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        (void)closes(s, reasons[i]);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        (void)refusals(s, statuses[i]);
}

void stats_init(struct stats *s, struct metrics *m)
{
    *s = (struct stats){.metrics = m};
    s->sockets = metrics_gauge(m, "checkout_sockets", "Websockets open now.", NULL);
    s->users =
        metrics_gauge(m, "checkout_socket_users", "Buyers with an open websocket now.", NULL);
    s->pushed = metrics_counter(m, "checkout_events_pushed_total",
                                "Events queued on websockets, replayed ones included.", NULL);
    s->push_seconds =
        metrics_histogram(m, "checkout_push_seconds",
                          "From a live event's commit to its place on a websocket.", NULL);
    s->received = metrics_counter(m, "checkout_events_received_total",
                                  "Events that came from Redis for connected buyers.", NULL);
    s->unreadable = metrics_counter(m, "checkout_events_unreadable_total",
                                    "Messages from Redis that are no event of ours.", NULL);
    s->stale = metrics_counter(m, "checkout_events_stale_total",
                               "Events not sent because a websocket had them or newer ones.", NULL);
    s->replays =
        metrics_counter(m, "checkout_replays_total",
                        "Replays of a websocket from PostgreSQL that were completed.", NULL);
    s->replay_seconds = metrics_histogram(m, "checkout_replay_seconds",
                                          "From a replay's first query to its end.", NULL);
    s->places = metrics_counter(m, "checkout_places_told_total",
                                "Places in line queued on websockets.", NULL);
    s->lines = metrics_gauge(m, "checkout_lines_watched",
                             "Items whose waitlist a connected buyer stands on.", NULL);
    s->line_reads = metrics_counter(m, "checkout_line_reads_total",
                                    "Waitlists of an item read from PostgreSQL.", NULL);
    s->redis_up = metrics_server_up(m, METRICS_REDIS);
    s->database_up = metrics_server_up(m, METRICS_DATABASE);
    init_labels(s);
}

void stats_closed(struct stats *s, const char *why)
{
    metric_add(closes(s, why), 1);
}

void stats_refused(struct stats *s, unsigned status)
{
    metric_add(refusals(s, status), 1);
}
