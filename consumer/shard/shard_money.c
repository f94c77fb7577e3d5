#include "consumer/shard/shard_money.h"

#include "common/base/log.h"
#include "consumer/money/latelook.h"
#include "consumer/money/payer.h"
#include "consumer/money/refunder.h"

void shard_money_take(const struct shard_money *money, uint32_t shard, const struct task *task)
{
    if (task->kind == TASK_RECONCILE) {
        latelook_add(money->latelook, shard, task);
        return;
    }
    if (task->kind == TASK_AWAIT_BUYER || task->kind == TASK_CHECK) {
        payer_hear(money->payer, task);
        return;
    }
    int code = task->kind == TASK_REFUND ? refunder_add(money->refunder, shard, task)
                                         : payer_add(money->payer, shard, task);
    if (code < 0)
        log_debug("a payment waits in its table for the sweep",
                  LOG_STR("order_id", task->order_id));
}

void shard_money_hold(const struct shard_money *money, uint32_t shard)
{
    payer_hold_shard(money->payer, shard);
}

void shard_money_forget(const struct shard_money *money, uint32_t shard)
{
    payer_forget_shard(money->payer, shard);
    refunder_forget_shard(money->refunder, shard);
}

bool shard_money_calling(const struct shard_money *money, uint32_t shard)
{
    return payer_calling(money->payer, shard) > 0 || refunder_calling(money->refunder, shard) > 0;
}

const char *shard_money_stopped(const struct shard_money *money)
{
    return payer_stopped(money->payer);
}
