#include "producer/stats.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/attrs.h"

static const char *const routes[STATS_ROUTES] = {
    [STATS_ORDERS_POST] = "POST /v1/orders",
    [STATS_ORDERS_LIST] = "GET /v1/orders",
    [STATS_ORDER] = "GET /v1/orders/{id}",
    [STATS_ORDER_DELETE] = "DELETE /v1/orders/{id}",
    [STATS_ITEMS_LIST] = "GET /v1/items",
    [STATS_ITEM] = "GET /v1/items/{sku}",
    [STATS_WEBHOOK] = "POST /v1/webhooks/stripe",
    [STATS_PREFLIGHT] = "OPTIONS",
    [STATS_OTHER] = "other",
};

/* Series exist from the start at 0: a rate over one that appears with its first event misses it. */
static void init_problems(struct stats *s)
{
    for (int type = 0; type < PROBLEM_COUNT; type++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "problem=\"%s\"",
                       problem_name((enum problem_type)type));
        s->problems[type] = metrics_counter(s->metrics, "checkout_rejections_total",
                                            "Requests refused, by problem.", labels);
    }
}

static struct metric *requests(struct stats *s, enum stats_route route, unsigned code)
{
    assert(code >= STATS_CODE_MIN && code <= STATS_CODE_MAX);
    struct metric **metric = &s->requests[route][code - STATS_CODE_MIN];
    if (*metric == NULL) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "route=\"%s\",code=\"%u\"", routes[route], code);
        *metric =
            metrics_counter(s->metrics, "checkout_requests_total", "Requests answered.", labels);
    }
    return *metric;
}

/* As those of the problems: what an alarm looks at, and of each call that it went well, or could
 * not be served. Others come with their first request. */
static void init_requests(struct stats *s)
{
    static const unsigned codes[] = {202, 400, 401, 404, 409, 413, 415, 422, 429, 503};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        (void)requests(s, STATS_ORDERS_POST, codes[i]);
    for (enum stats_route route = STATS_ORDERS_POST + 1; route < STATS_PREFLIGHT; route++) {
        (void)requests(s, route, 200);
        (void)requests(s, route, 503);
    }
}

void stats_init(struct stats *s, struct metrics *m)
{
    *s = (struct stats){.metrics = m};
    s->accepted =
        metrics_counter(m, "checkout_orders_accepted_total", "Orders answered 202.", NULL);
    s->accept_seconds = metrics_histogram(m, "checkout_accept_seconds",
                                          "From an order's request to its 202.", NULL);
    s->batches = metrics_counter(m, "checkout_publish_batches_total",
                                 "Messages that the broker confirmed.", NULL);
    s->batch_jobs = metrics_counter(m, "checkout_publish_batch_jobs_total",
                                    "Jobs in the messages that the broker confirmed.", NULL);
    s->inflight = metrics_gauge(m, "checkout_publish_inflight",
                                "Messages published and not yet confirmed.", NULL);
    s->overdue = metrics_gauge(m, "checkout_publish_overdue",
                               "Messages without the broker's answer for over 1 s.", NULL);
    s->waiting = metrics_gauge(m, "checkout_publish_waiting_jobs",
                               "Orders that wait for their confirm.", NULL);
    s->broker_up = metrics_server_up(m, METRICS_BROKER);
    s->database_up = metrics_server_up(m, METRICS_DATABASE);
    s->redis_up = metrics_server_up(m, METRICS_REDIS);
    s->redis_vouching = metrics_gauge(
        m, "checkout_redis_vouching",
        "1: Redis has lost nothing for a day; 0: PostgreSQL is asked about each order.", NULL);
    s->listening = metrics_gauge(
        m, "checkout_listening",
        "1: on its port; 0: away, because another process on the port takes the orders.", NULL);
    s->admission_opened =
        metrics_counter(m, "checkout_gate_opened_total",
                        "Orders that passed admission because Redis did not answer.", NULL);
    s->repeats = metrics_counter(m, "checkout_orders_repeated_total",
                                 "Orders that were decided before, answered with their "
                                 "present state.",
                                 NULL);
    s->clock_drift = metrics_gauge(
        m, "checkout_clock_drift_seconds",
        "How far this host's clock is ahead of PostgreSQL's, if that is known.", NULL);
    s->clock_known = metrics_gauge(m, "checkout_clock_drift_known",
                                   "1 once the clock was compared with PostgreSQL's.", NULL);
    init_problems(s);
    init_requests(s);
}

const char *stats_route_name(enum stats_route route)
{
    return routes[route];
}

void stats_request(struct stats *s, enum stats_route route, unsigned code)
{
    metric_add(requests(s, route, code), 1);
}

void stats_problem(struct stats *s, enum problem_type type)
{
    metric_add(s->problems[type], 1);
}

struct metric *stats_webhooks(struct stats *s, const char *end)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "end=\"%s\"", end);
    return metrics_counter(s->metrics, "checkout_webhooks_total",
                           "Events of the gateway, by what became of them; all but those taken are "
                           "refused or ignored.",
                           labels);
}
