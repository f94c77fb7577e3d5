/*
 * What a shard wants of the gateway, and how little it has to know of consumer/money/ for that. A
 * fake of these calls is tests/fake/fake_money.c.
 */
#ifndef CONSUMER_SHARD_SHARD_MONEY_H
#define CONSUMER_SHARD_SHARD_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/task.h"

struct runner;

struct shard_money {
    struct runner *runner;
};

/* A task about a payment: of all kinds but TASK_SETTLE_LINE and TASK_RUN_COMMANDS. What finds no
 * room stays in its table, where the sweep finds it again. */
void shard_money_take(const struct shard_money *money, uint32_t shard, const struct task *task);
/* No new calls for this shard until shard_money_forget: it is about to be released. */
void shard_money_hold(const struct shard_money *money, uint32_t shard);
/* The shard is not ours any more. */
void shard_money_forget(const struct shard_money *money, uint32_t shard);
/* A call for this shard is in flight. */
bool shard_money_calling(const struct shard_money *money, uint32_t shard);
/* Why payments are stopped (static); NULL: they go on. */
const char *shard_money_stopped(const struct shard_money *money);

#endif
