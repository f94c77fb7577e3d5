/* Metrics of webhooks. */
#ifndef NOTIFIER_HOOKS_HOOK_STATS_H
#define NOTIFIER_HOOKS_HOOK_STATS_H

#include "common/net/pg/pg_result.h"
#include "notifier/dispatch/dispatch_stats.h"
#include "notifier/hooks/hook_limits.h"

struct hook_stats {
    struct dispatch_stats dispatch;
    struct metrics *metrics;
    char endpoints[HOOK_ENDPOINTS_MAX][HOOK_NAME_SIZE]; /* shown last; "": none */
};

void hook_stats_init(struct hook_stats *stats, struct metrics *metrics);
/* Of the endpoints, as checkout.hooks_now has them; those that are there no more show 0. */
void hook_stats_show(struct hook_stats *stats, const struct pg_result *result);

#endif
