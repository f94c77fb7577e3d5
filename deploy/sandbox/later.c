#include "deploy/sandbox/later.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define AGAIN_MS 20 /* the object was being changed */

struct event_due {
    TAILQ_ENTRY(event_due) link;
    int64_t due_ms;
    bool refund; /* else of an intent */
    uint64_t number;
};

TAILQ_HEAD(due_list, event_due);

struct later {
    struct gateway *gateway;
    later_cb due;
    struct loop_timer *timer;
    struct due_list list; /* the next first */
};

static void timer_due(void *arg);

struct later *later_new(struct gateway *gateway, later_cb due)
{
    struct later *later = calloc(1, sizeof *later);
    if (later == NULL)
        return NULL;
    later->gateway = gateway;
    later->due = due;
    TAILQ_INIT(&later->list);
    later->timer = loop_timer_new(gateway->loop, timer_due, later);
    if (later->timer != NULL)
        return later;
    free(later);
    return NULL;
}

void later_free(struct later *later)
{
    struct event_due *event;
    if (later == NULL)
        return;
    while ((event = TAILQ_FIRST(&later->list)) != NULL) {
        TAILQ_REMOVE(&later->list, event, link);
        free(event);
    }
    loop_timer_free(later->timer);
    free(later);
}

static void start_timer(struct later *later)
{
    const struct event_due *next = TAILQ_FIRST(&later->list);
    if (next == NULL)
        return;
    int64_t in_ms = next->due_ms - clock_wall_ms();
    loop_timer_start(later->timer, in_ms > 0 ? (uint64_t)in_ms : 0, 0);
}

/* Most come in the order of their time. */
static void insert(struct later *later, struct event_due *event)
{
    struct event_due *before = TAILQ_LAST(&later->list, due_list);
    while (before != NULL && before->due_ms > event->due_ms)
        before = TAILQ_PREV(before, due_list, link);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&later->list, event, link);
    else
        TAILQ_INSERT_AFTER(&later->list, before, event, link);
    if (TAILQ_FIRST(&later->list) == event)
        start_timer(later);
}

static void add(struct later *later, bool refund, uint64_t number, int64_t due_ms)
{
    struct event_due *event = calloc(1, sizeof *event);
    if (event == NULL) {
        log_warning("later event forgotten: out of memory");
        return;
    }
    *event = (struct event_due){.due_ms = due_ms, .refund = refund, .number = number};
    insert(later, event);
}

void later_note(struct later *later, const struct record *record)
{
    bool refund = record->kind == RECORD_REFUND || record->kind == RECORD_REFUND_CHANGE;
    if (refund && record->refund.due_ms > 0)
        add(later, true, record->refund.number, record->refund.due_ms);
    else if (!refund && record_changes_intent(record) && record->intent.due_ms > 0)
        add(later, false, record->intent.number, record->intent.due_ms);
}

void later_load(struct later *later)
{
    struct store *store = later->gateway->store;
    for (uint64_t i = 0; i < store_intent_count(store); i++)
        if (store_intent(store, i)->due_ms > 0)
            add(later, false, i, store_intent(store, i)->due_ms);
    for (uint64_t i = 0; i < store_count(store, STORE_REFUNDS); i++) {
        const struct store_part *refund = store_part(store, STORE_REFUNDS, i);
        if (refund != NULL && refund->due_ms > 0)
            add(later, true, i, refund->due_ms);
    }
}

void later_put_off(struct later *later, bool refund, uint64_t number)
{
    add(later, refund, number, clock_wall_ms() + AGAIN_MS);
}

static void timer_due(void *arg)
{
    struct later *later = arg;
    struct due_list due = TAILQ_HEAD_INITIALIZER(due);
    struct event_due *event;
    int64_t now_ms = clock_wall_ms();
    while ((event = TAILQ_FIRST(&later->list)) != NULL && event->due_ms <= now_ms) {
        TAILQ_REMOVE(&later->list, event, link);
        TAILQ_INSERT_TAIL(&due, event, link);
    }
    start_timer(later);
    while ((event = TAILQ_FIRST(&due)) != NULL) {
        TAILQ_REMOVE(&due, event, link);
        if (!later->gateway->draining) /* else the next start finds it in the ledger */
            later->due(later->gateway, event->refund, event->number);
        free(event);
    }
}
