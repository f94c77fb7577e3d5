/* The console's metrics. */
#ifndef CONSOLE_STATS_H
#define CONSOLE_STATS_H

#include "common/service/metrics.h"

/* The calls of the API, as routes.c has them, the files of the page; the last one is every other
 * path. */
enum stats_route {
    STATS_ITEMS,
    STATS_ITEMS_POST,
    STATS_ITEM,
    STATS_ITEM_PATCH,
    STATS_RESTOCK,
    STATS_PAUSE,
    STATS_RESUME,
    STATS_ORDERS,
    STATS_ORDER,
    STATS_REFUND,
    STATS_CANCEL,
    STATS_COMMAND,
    STATS_EVENTS,
    STATS_OVERVIEW,
    STATS_HISTORY,
    STATS_RESOLVE,
    STATS_REPLAY,
    STATS_PAGE,
    STATS_OTHER,
    STATS_ROUTES
};

/* Codes of HTTP answers: each has a place of its own. */
#define STATS_CODE_MIN 200
#define STATS_CODE_MAX 599

struct stats {
    struct metrics *metrics;
    struct metric *database_up;
    struct metric *waiting; /* requests that wait for a command's end, events, or the overview */
    /* (route, code): those of stats_init, and others when they are first needed */
    struct metric *requests[STATS_ROUTES][STATS_CODE_MAX - STATS_CODE_MIN + 1];
};

/* Declares them in `metrics`, which must outlive `stats`. */
void stats_init(struct stats *stats, struct metrics *metrics);
/* As the metrics call it: a method and the shape of a path, or "other". */
const char *stats_route_name(enum stats_route route);
void stats_request(struct stats *stats, enum stats_route route, unsigned code);

#endif
