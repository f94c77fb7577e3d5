/* Payments that ended without money are looked at again, some time later: whether it was taken
 * after all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "consumer/money/runner_impl.h"

#define LOOKS_MAX 512 /* at once; further ones wait in their table */

struct runner_look {
    struct reconcile_entry list; /* first */
    LIST_ENTRY(runner_look) link;
    struct runner *runner;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    uint32_t shard;
};

static void report(const struct runner_look *look, enum outcome_kind kind,
                   const struct pay_intent *intent)
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
        report((struct runner_look *)entry, OUTCOME_LATE, intent);
}

static void end(struct runner_look *look)
{
    look->runner->look_count--;
    LIST_REMOVE(look, link);
    free(look);
}

static void read_list(struct reconcile_entry *entry, int64_t began_ms)
{
    (void)began_ms;
    report((struct runner_look *)entry, OUTCOME_LOOKED, NULL);
    end((struct runner_look *)entry);
}

static bool is_looked_at(const struct runner *runner, const struct task *task)
{
    const struct runner_look *look;
    LIST_FOREACH(look, &runner->looks, link)
    if (look->attempt == task->attempt && strcmp(look->order_id, task->order_id) == 0)
        return true;
    return false;
}

void runner_look_at(struct runner *runner, const struct task *task)
{
    if (gateway_stopped(runner->gateway) != NULL || runner->look_count == LOOKS_MAX ||
        is_looked_at(runner, task))
        return; /* the sweep asks again */
    struct runner_look *look = calloc(1, sizeof *look);
    if (look == NULL)
        return;
    int64_t age_ms = task->order_age_ms == TASK_NO_TIME ? task->age_ms : task->order_age_ms;
    look->runner = runner;
    look->attempt = task->attempt;
    look->shard = task->shard;
    (void)snprintf(look->order_id, sizeof look->order_id, "%s", task->order_id);
    look->list = (struct reconcile_entry){.order_id = look->order_id,
                                          .born_ms = (int64_t)clock_mono_ms() - age_ms,
                                          .intent = listed,
                                          .read = read_list};
    LIST_INSERT_HEAD(&runner->looks, look, link);
    runner->look_count++;
    reconcile_add(runner->reconcile, &look->list, 0);
}

void runner_forget_looks(struct runner *runner)
{
    struct runner_look *next;
    for (struct runner_look *look = LIST_FIRST(&runner->looks); look != NULL; look = next) {
        next = LIST_NEXT(look, link);
        free(look);
    }
}
