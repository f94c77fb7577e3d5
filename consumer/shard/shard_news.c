#include "consumer/shard/shard_news.h"

#include <stddef.h>

#include "common/base/log.h"

void shard_news_record(struct stats *stats, const struct news *news)
{
    switch (news->kind) {
    case NEWS_TRANSITION:
        stats_transition(stats, news->status, news->reason, news->count);
        return;
    case NEWS_CONFLICT:
        metric_add(stats->conflicts, 1);
        log_warning("retry of an order has another body; the first counts",
                    LOG_STR("order_id", news->order_id));
        return;
    case NEWS_LATE_CAPTURE:
        metric_add(stats->late_successes, 1);
        log_warning("late capture for a closed order; refunding",
                    LOG_STR("order_id", news->order_id), LOG_STR("status", news->status),
                    LOG_STR("intent", news->intent_id));
        return;
    case NEWS_COMMAND:
        stats_command(stats, news->status);
        log_info("command", LOG_INT("command", news->command_id), LOG_STR("state", news->status),
                 LOG_STR("result", news->reason));
        return;
    case NEWS_SET_ASIDE:
        metric_add(stats->jobs_set_aside, (double)news->count);
        log_warning("jobs set aside: their item cannot be decided now; other items go on",
                    LOG_STR("sku", news->sku), LOG_INT("jobs", news->count),
                    LOG_STR("reason", news->reason));
        return;
    case NEWS_NOT_RECORDED:
        log_warning("outcome not recorded: another session has locked its item's row; will retry",
                    LOG_STR("order_id", news->order_id));
        return;
    case NEWS_ITEM_CHANGED:
        return;
    }
}

const char *shard_news_item(const struct news *news)
{
    return news->kind == NEWS_COMMAND || news->kind == NEWS_ITEM_CHANGED ? news->sku : NULL;
}
