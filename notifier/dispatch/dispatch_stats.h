/* Metrics of a dispatcher, and where its spans go. Each transport has its own names for them. */
#ifndef NOTIFIER_DISPATCH_DISPATCH_STATS_H
#define NOTIFIER_DISPATCH_DISPATCH_STATS_H

#include "common/service/metrics.h"
#include "notifier/dispatch/dispatch_attempt.h"

struct dispatch_stats {
    struct spans *spans; /* NULL: none are made */
    struct metric *attempts[DISPATCH_ENDS];
    struct metric *attempt_seconds;
    struct metric *in_flight;
    struct metric *overdue;
    struct metric *overdue_seconds;
    struct metric *database_up;
};

/* Makes `attempts`: `counter` with the labels of each end. */
void dispatch_stats_attempts(struct dispatch_stats *stats, struct metrics *metrics,
                             struct metric *(*counter)(struct metrics *metrics,
                                                       const char *labels));

#endif
