#include "tests/fake/fake_money.h"

#include <stdio.h>

struct fake_money fake_money;

void shard_money_take(const struct shard_money *money, uint32_t shard, const struct task *task)
{
    (void)money;
    (void)shard;
    fake_money.taken++;
    (void)snprintf(fake_money.last_order, sizeof fake_money.last_order, "%s", task->order_id);
}

void shard_money_hold(const struct shard_money *money, uint32_t shard)
{
    (void)money;
    (void)shard;
    fake_money.held++;
}

void shard_money_forget(const struct shard_money *money, uint32_t shard)
{
    (void)money;
    (void)shard;
    fake_money.forgotten++;
}

bool shard_money_calling(const struct shard_money *money, uint32_t shard)
{
    (void)money;
    (void)shard;
    return fake_money.calling;
}

const char *shard_money_stopped(const struct shard_money *money)
{
    (void)money;
    return fake_money.stopped;
}
