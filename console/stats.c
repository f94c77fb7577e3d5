#include "console/stats.h"

#include <assert.h>
#include <stdio.h>

static const char *const routes[STATS_ROUTES] = {
    [STATS_ITEMS] = "GET /v1/shop/items",
    [STATS_ITEMS_POST] = "POST /v1/shop/items",
    [STATS_ITEM] = "GET /v1/shop/items/{sku}",
    [STATS_ITEM_PATCH] = "PATCH /v1/shop/items/{sku}",
    [STATS_RESTOCK] = "POST /v1/shop/items/{sku}/restock",
    [STATS_PAUSE] = "POST /v1/shop/items/{sku}/pause",
    [STATS_RESUME] = "POST /v1/shop/items/{sku}/resume",
    [STATS_ORDERS] = "GET /v1/shop/orders",
    [STATS_ORDER] = "GET /v1/shop/orders/{id}",
    [STATS_REFUND] = "POST /v1/shop/orders/{id}/refund",
    [STATS_CANCEL] = "POST /v1/shop/orders/{id}/cancel",
    [STATS_COMMAND] = "GET /v1/shop/commands/{id}",
    [STATS_EVENTS] = "GET /v1/shop/events",
    [STATS_OVERVIEW] = "GET /v1/ops/overview",
    [STATS_HISTORY] = "GET /v1/ops/history",
    [STATS_RESOLVE] = "POST /v1/ops/orders/{id}/resolve",
    [STATS_REPLAY] = "POST /v1/ops/dead-letters/replay",
    [STATS_PAGE] = "page",
    [STATS_OTHER] = "other",
};

const char *stats_route_name(enum stats_route route)
{
    return routes[route];
}

static struct metric *requests(struct stats *s, enum stats_route route, unsigned code)
{
    assert(code >= STATS_CODE_MIN && code <= STATS_CODE_MAX);
    struct metric **metric = &s->requests[route][code - STATS_CODE_MIN];
    if (*metric == NULL) {
        char labels[80];
        (void)snprintf(labels, sizeof labels, "route=\"%s\",code=\"%u\"", routes[route], code);
        *metric = metrics_counter(s->metrics, "checkout_console_requests_total",
                                  "Requests answered by the console.", labels);
    }
    return *metric;
}

void stats_init(struct stats *s, struct metrics *m)
{
    *s = (struct stats){.metrics = m};
    s->database_up = metrics_server_up(m, METRICS_DATABASE);
    s->waiting = metrics_gauge(
        m, "checkout_console_waiting_requests",
        "Requests that wait for a command's end, for events, or for the overview.", NULL);
    /* A rate over a series that appears with its first event misses it. */
    for (enum stats_route route = 0; route < STATS_OTHER; route++) {
        (void)requests(s, route, 200);
        (void)requests(s, route, 503);
    }
}

void stats_request(struct stats *s, enum stats_route route, unsigned code)
{
    metric_add(requests(s, route, code), 1);
}
