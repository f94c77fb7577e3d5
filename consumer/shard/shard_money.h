/*
 * What a shard needs from consumer/money/. tests/fake/fake_money.c is a fake of these calls.
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

/* A task about a payment: of all kinds but TASK_SETTLE_WAITLIST and TASK_RUN_COMMANDS. Without room
 * the task stays in its table, where the sweep finds it again. */
void shard_money_take(const struct shard_money *money, uint32_t shard, const struct task *task);
/* Starts no new calls for this shard until shard_money_forget: its release follows. */
void shard_money_hold(const struct shard_money *money, uint32_t shard);
/* The shard is not ours any more. */
void shard_money_forget(const struct shard_money *money, uint32_t shard);
/* A call for this shard is in flight. */
bool shard_money_calling(const struct shard_money *money, uint32_t shard);
/* Why payments are stopped (static); NULL: they go on. */
const char *shard_money_stopped(const struct shard_money *money);

#endif
