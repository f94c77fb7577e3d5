/* Payments that ended without money are looked at again, some time later: whether it was taken
 * after all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "consumer/money/runner_impl.h"

struct look {
    struct reconcile_entry list;
    struct runner *runner;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    uint32_t shard;
};

struct runner_looks {
    struct runner *runner;
    struct look looks[RUNNER_LOOKS_MAX]; /* free ones are not in the list */
};

struct runner_looks *runner_looks_new(struct runner *runner)
{
    struct runner_looks *looks = calloc(1, sizeof *looks);
    if (looks != NULL)
        looks->runner = runner;
    return looks;
}

void runner_looks_free(struct runner_looks *looks)
{
    free(looks);
}

static void report(const struct look *look, enum outcome_kind kind, const struct pay_intent *intent)
{
    const struct runner_options *o = &look->runner->o;
    struct outcome outcome = {.kind = kind, .shard = look->shard, .attempt = look->attempt};
    memcpy(outcome.order_id, look->order_id, sizeof outcome.order_id);
    if (intent != NULL) {
        outcome.intent_id = intent->id;
        outcome.amount = intent->received;
    }
    o->outcome(&outcome, o->arg);
}

static void listed(struct reconcile_entry *entry, const struct pay_intent *intent)
{
    if (intent->state == PAY_INTENT_SUCCEEDED && intent->received > 0)
        report((struct look *)entry, OUTCOME_LATE, intent);
}

static void read_list(struct reconcile_entry *entry, int64_t began_ms)
{
    (void)began_ms;
    report((struct look *)entry, OUTCOME_LOOKED, NULL);
}

void runner_looks_add(struct runner_looks *looks, const struct task *task)
{
    struct runner *runner = looks->runner;
    struct look *free_one = NULL;
    if (gateway_stopped(runner->gateway) != NULL)
        return; /* the sweep asks again */
    for (size_t i = 0; i < RUNNER_LOOKS_MAX; i++) {
        struct look *look = &looks->looks[i];
        if (!look->list.here)
            free_one = look;
        else if (look->attempt == task->attempt && strcmp(look->order_id, task->order_id) == 0)
            return;
    }
    if (free_one == NULL)
        return;
    *free_one = (struct look){.runner = runner, .attempt = task->attempt, .shard = task->shard};
    (void)snprintf(free_one->order_id, sizeof free_one->order_id, "%s", task->order_id);
    int64_t now_ms = (int64_t)clock_mono_ms();
    int64_t age_ms = task->order_age_ms == TASK_NO_TIME ? task->age_ms : task->order_age_ms;
    free_one->list = (struct reconcile_entry){.order_id = free_one->order_id,
                                              .born_ms = now_ms - age_ms,
                                              .intent = listed,
                                              .read = read_list};
    reconcile_add(runner->reconcile, &free_one->list, 0);
}
