#include "consumer/watch/late.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "consumer/gateway/gateway_list.h"

#define AGAIN_MS 30000 /* after a list that may lack what is there */

struct look {
    struct reconcile_entry list; /* first */
    LIST_ENTRY(look) link;
    struct late *of;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    uint32_t shard;
};

struct late {
    struct reconcile *reconcile;
    const struct gateway *gateway;
    outcome_cb outcome;
    void *arg;
    LIST_HEAD(, look) looks;
    size_t count;
};

struct late *late_new(struct reconcile *reconcile, const struct gateway *gateway,
                      outcome_cb outcome, void *arg)
{
    struct late *late = calloc(1, sizeof *late);
    if (late == NULL)
        return NULL;
    late->reconcile = reconcile;
    late->gateway = gateway;
    late->outcome = outcome;
    late->arg = arg;
    return late;
}

void late_free(struct late *late)
{
    if (late == NULL)
        return;
    struct look *next;
    for (struct look *look = LIST_FIRST(&late->looks); look != NULL; look = next) {
        next = LIST_NEXT(look, link);
        free(look);
    }
    free(late);
}

static void report(const struct look *look, enum outcome_kind kind, const struct pay_intent *intent)
{
    struct outcome outcome = {.kind = kind, .shard = look->shard, .attempt = look->attempt};
    memcpy(outcome.order_id, look->order_id, sizeof outcome.order_id);
    if (intent != NULL) {
        outcome.intent_id = intent->id;
        outcome.amount = intent->received;
    }
    look->of->outcome(&outcome, look->of->arg);
}

static void listed(struct reconcile_entry *entry, const struct pay_intent *intent)
{
    if (intent->state == PAY_INTENT_SUCCEEDED && intent->received > 0)
        report((struct look *)entry, OUTCOME_LATE, intent);
}

static void read_list(struct reconcile_entry *entry, int64_t began_ms)
{
    struct look *look = (struct look *)entry;
    if (began_ms == GATEWAY_LIST_UNCLEAR) {
        reconcile_add(look->of->reconcile, entry, (int64_t)clock_mono_ms() + AGAIN_MS);
        return;
    }
    report(look, OUTCOME_LOOKED, NULL);
    look->of->count--;
    LIST_REMOVE(look, link);
    free(look);
}

static bool is_looked_at(const struct late *late, const struct task *task)
{
    const struct look *look;
    LIST_FOREACH(look, &late->looks, link)
    if (look->attempt == task->attempt && strcmp(look->order_id, task->order_id) == 0)
        return true;
    return false;
}

void late_look(struct late *late, const struct task *task)
{
    if (gateway_stopped(late->gateway) != NULL || late->count == LATE_MAX ||
        is_looked_at(late, task))
        return;
    struct look *look = calloc(1, sizeof *look);
    if (look == NULL)
        return;
    int64_t age_ms = task->order_age_ms == TASK_NO_TIME ? task->age_ms : task->order_age_ms;
    look->of = late;
    look->attempt = task->attempt;
    look->shard = task->shard;
    (void)snprintf(look->order_id, sizeof look->order_id, "%s", task->order_id);
    look->list = (struct reconcile_entry){.order_id = look->order_id,
                                          .born_ms = (int64_t)clock_mono_ms() - age_ms,
                                          .intent = listed,
                                          .read = read_list};
    LIST_INSERT_HEAD(&late->looks, look, link);
    late->count++;
    reconcile_add(late->reconcile, &look->list, 0);
}
