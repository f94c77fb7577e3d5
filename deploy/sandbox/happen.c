#include "deploy/sandbox/happen.h"

#include "common/base/clock.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/change.h"
#include "deploy/sandbox/later.h"

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

static void happen_to_intent(struct gateway *g, uint64_t number)
{
    const struct store_intent *intent = store_intent(g->store, number);
    struct change *change;
    if (intent == NULL || intent->due_ms == 0)
        return; /* it was cancelled */
    if (change_begin(g, number, intent->place, &change) < 0) {
        later_put_off(g->later, false, number);
        return;
    }
    enum intent_status status = change->record.intent.status;
    change->record.intent.due_ms = 0;
    if (status == INTENT_PROCESSING)
        end_processing(change);
    bool disputes = status == INTENT_SUCCEEDED;
    if (disputes && !open_dispute(change)) {
        change_cancel(change);
        later_put_off(g->later, false, number);
    } else if (change_commit(change) < 0) {
        if (disputes)
            store_drop(g->store, STORE_DISPUTES);
        later_put_off(g->later, false, number);
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

static void happen_to_refund(struct gateway *g, uint64_t number)
{
    const struct store_part *part = store_part(g->store, STORE_REFUNDS, number);
    struct change *change;
    if (part == NULL || part->due_ms == 0)
        return;
    if (change_begin(g, part->intent, part->place, &change) < 0) {
        later_put_off(g->later, true, number);
        return;
    }
    struct record *record = &change->record;
    record->kind = RECORD_REFUND_CHANGE;
    record->refund.due_ms = 0;
    record->refund.status = record->refund.ends;
    if (take_intent(change) < 0) {
        change_cancel(change);
        later_put_off(g->later, true, number);
        return;
    }
    if (record->refund.status == REFUND_FAILED)
        record->intent.refunded -= record->refund.amount;
    if (change_commit(change) < 0)
        later_put_off(g->later, true, number);
}

void happen(struct gateway *gateway, bool refund, uint64_t number)
{
    if (refund)
        happen_to_refund(gateway, number);
    else
        happen_to_intent(gateway, number);
}
