#include "consumer/shard/shard_money.h"

#include "common/base/log.h"
#include "consumer/money/runner.h"

void shard_money_take(const struct shard_money *money, uint32_t shard, const struct task *task)
{
    (void)shard; /* the task names it */
    if (runner_add(money->runner, task) < 0)
        log_debug("payment waits in its table for the sweep", LOG_STR("order_id", task->order_id));
}

void shard_money_hold(const struct shard_money *money, uint32_t shard)
{
    runner_hold_shard(money->runner, shard);
}

void shard_money_forget(const struct shard_money *money, uint32_t shard)
{
    runner_forget_shard(money->runner, shard);
}

bool shard_money_calling(const struct shard_money *money, uint32_t shard)
{
    return runner_calling(money->runner, shard) > 0;
}

const char *shard_money_stopped(const struct shard_money *money)
{
    return runner_stopped(money->runner);
}
