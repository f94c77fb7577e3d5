#include "deploy/sandbox/later.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/change.h"

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
    struct loop_timer *timer;
    struct due_list list; /* the next first */
};

static void timer_due(void *arg);

struct later *later_new(struct gateway *gateway)
{
    struct later *later = calloc(1, sizeof *later);
    if (later == NULL)
        return NULL;
    later->gateway = gateway;
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
        log_warning("what is to happen later is forgotten: memory is out");
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

/* ---- what happens ---- */

/* A debit under way ends. */
static void end_processing(struct change *change)
{
    struct card card = {0};
    struct intent *intent = &change->record.intent;
    (void)(intent->card != NULL && card_find(intent->card, &card));
    intent->status = card.pays_late ? INTENT_SUCCEEDED : INTENT_REQUIRES_PAYMENT_METHOD;
    intent->received = card.pays_late ? intent->amount : 0;
}

/* False: there is no room for it. */
static bool open_dispute(struct change *change)
{
    struct record *record = &change->record;
    record->kind = RECORD_DISPUTE;
    record->intent.disputed = true;
    record->dispute = (struct dispute){.status = DISPUTE_NEEDS_RESPONSE,
                                       .amount = record->intent.received,
                                       .created = clock_wall_ms() / 1000,
                                       .reason = "fraudulent"};
    return store_add(change->gateway->store, STORE_DISPUTES, &record->dispute.number) == 0;
}

/* Puts one off to the next moment. */
static void put_off(struct later *later, bool refund, uint64_t number)
{
    add(later, refund, number, clock_wall_ms() + AGAIN_MS);
}

static void happen_to_intent(struct later *later, uint64_t number)
{
    struct gateway *g = later->gateway;
    const struct store_intent *intent = store_intent(g->store, number);
    struct change *change;
    if (intent == NULL || intent->due_ms == 0)
        return; /* it was cancelled */
    if (change_begin(g, number, intent->place, &change) < 0) {
        put_off(later, false, number);
        return;
    }
    enum intent_status status = change->record.intent.status;
    change->record.intent.due_ms = 0;
    if (status == INTENT_PROCESSING)
        end_processing(change);
    bool disputes = status == INTENT_SUCCEEDED;
    if (disputes && !open_dispute(change)) {
        change_cancel(change);
        put_off(later, false, number);
    } else if (change_commit(change) < 0) {
        if (disputes)
            store_drop(g->store, STORE_DISPUTES);
        put_off(later, false, number);
    }
}

/* The last word on an intent is in its own last record, not in its refund's. */
static int take_intent(struct change *change)
{
    struct gateway *g = change->gateway;
    struct record last;
    int code =
        ledger_read(g->ledger, store_intent(g->store, change->base.intent.number)->place, &last);
    if (code < 0)
        return code;
    change->record.intent.status = last.intent.status;
    change->record.intent.refunded = last.intent.refunded;
    change->record.intent.received = last.intent.received;
    change->record.intent.disputed = last.intent.disputed;
    change->record.intent.due_ms = last.intent.due_ms;
    record_free(&last);
    return 0;
}

static void happen_to_refund(struct later *later, uint64_t number)
{
    struct gateway *g = later->gateway;
    const struct store_part *part = store_part(g->store, STORE_REFUNDS, number);
    struct change *change;
    if (part == NULL || part->due_ms == 0)
        return;
    if (change_begin(g, part->intent, part->place, &change) < 0) {
        put_off(later, true, number);
        return;
    }
    struct record *record = &change->record;
    record->kind = RECORD_REFUND_CHANGE;
    record->refund.due_ms = 0;
    record->refund.status = record->refund.ends;
    if (take_intent(change) < 0) {
        change_cancel(change);
        put_off(later, true, number);
        return;
    }
    if (record->refund.status == REFUND_FAILED)
        record->intent.refunded -= record->refund.amount;
    if (change_commit(change) < 0)
        put_off(later, true, number);
}

static void timer_due(void *arg)
{
    struct later *later = arg;
    struct event_due *event;
    int64_t now_ms = clock_wall_ms();
    while ((event = TAILQ_FIRST(&later->list)) != NULL && event->due_ms <= now_ms) {
        TAILQ_REMOVE(&later->list, event, link);
        if (later->gateway->draining)
            ; /* the next start finds it in the ledger */
        else if (event->refund)
            happen_to_refund(later, event->number);
        else
            happen_to_intent(later, event->number);
        free(event);
    }
    start_timer(later);
}
