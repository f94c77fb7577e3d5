/* The producer's metrics, and where its spans go. */
#ifndef PRODUCER_STATS_H
#define PRODUCER_STATS_H

#include <stdint.h>

#include "common/service/metrics.h"
#include "common/shop/problem.h"

enum stats_route {
    STATS_ORDERS_POST,
    STATS_ORDERS_LIST,
    STATS_ORDER,
    STATS_ORDER_DELETE,
    STATS_ITEMS_LIST,
    STATS_ITEM,
    STATS_WEBHOOK,
    STATS_PREFLIGHT,
    STATS_OTHER,
    STATS_ROUTES
};

/* Codes of HTTP answers: each has a place of its own. */
#define STATS_CODE_MIN 200
#define STATS_CODE_MAX 599

struct spans;

struct stats {
    struct metrics *metrics;
    struct spans *spans; /* NULL: none are made */
    struct metric *accepted;
    struct metric *accept_seconds;
    struct metric *batches;
    struct metric *batch_jobs;
    struct metric *inflight;
    struct metric *overdue;
    struct metric *waiting;
    struct metric *broker_up;
    struct metric *database_up;
    struct metric *redis_up;
    struct metric *redis_vouching;
    struct metric *listening;
    struct metric *admission_opened;
    struct metric *repeats;
    struct metric *clock_drift;
    struct metric *clock_known;
    struct metric *problems[PROBLEM_COUNT];
    /* (route, code): those of stats_init, and others when they are first needed */
    struct metric *requests[STATS_ROUTES][STATS_CODE_MAX - STATS_CODE_MIN + 1];
};

/* Declares them in `metrics`, which must outlive `stats`. */
void stats_init(struct stats *stats, struct metrics *metrics);
/* As the metrics call it: a method and the shape of a path, or "other". */
const char *stats_route_name(enum stats_route route);
void stats_request(struct stats *stats, enum stats_route route, unsigned code);
void stats_problem(struct stats *stats, enum problem_type type);
/* The counter of webhooks that ended so. */
struct metric *stats_webhooks(struct stats *stats, const char *end);

#endif
