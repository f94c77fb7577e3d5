#include "deploy/sandbox/event.h"

#include "deploy/sandbox/answer_object.h"

#define OBJECT_MAX ((size_t)64 * 1024)

typedef void (*write_object)(const struct record *record, uint32_t salt, struct buf *out);

static void write_intent(const struct record *record, uint32_t salt, struct buf *out)
{
    answer_intent(&record->intent, salt, out);
}

static void write_charge(const struct record *record, uint32_t salt, struct buf *out)
{
    answer_charge(&record->intent, salt, out);
}

static void tell(struct gateway *g, const char *type, const struct record *record,
                 write_object write)
{
    struct buf object;
    buf_init(&object, OBJECT_MAX);
    write(record, ledger_salt(g->ledger), &object);
    const struct webhook_event event = {.type = type,
                                        .version = g->version,
                                        .live = record->intent.live,
                                        .object = buf_text(&object)};
    if (!object.failed)
        webhooks_tell(g->webhooks, g->faults.webhooks, &event);
    buf_free(&object);
}

/* NULL: the state has no event. */
static const char *type_of(enum intent_status status)
{
    switch (status) {
    case INTENT_SUCCEEDED:
        return "payment_intent.succeeded";
    case INTENT_REQUIRES_ACTION:
        return "payment_intent.requires_action";
    case INTENT_REQUIRES_PAYMENT_METHOD:
        return "payment_intent.payment_failed";
    case INTENT_CANCELED:
        return "payment_intent.canceled";
    case INTENT_PROCESSING:
        return "payment_intent.processing";
    case INTENT_REQUIRES_CAPTURE:
        return "payment_intent.amount_capturable_updated";
    case INTENT_REQUIRES_CONFIRMATION:
        return NULL;
    }
    return NULL;
}

static void tell_intent(struct gateway *g, const struct record *record)
{
    const struct intent *intent = &record->intent;
    const char *type = type_of(intent->status);
    bool all = g->faults.settings.all_events;
    if (all && record->kind == RECORD_CHARGE)
        tell(g, "payment_intent.created", record, write_intent);
    if (intent->status == INTENT_REQUIRES_PAYMENT_METHOD && intent->card == NULL)
        return; /* new, and nothing has been tried */
    if (all && intent->status == INTENT_SUCCEEDED)
        tell(g, "charge.succeeded", record, write_charge);
    if (all && intent->status == INTENT_REQUIRES_PAYMENT_METHOD)
        tell(g, "charge.failed", record, write_charge);
    if (type != NULL)
        tell(g, type, record, write_intent);
}

static void tell_refund_change(struct gateway *g, const struct record *record)
{
    if (record->refund.status == REFUND_FAILED)
        tell(g, "refund.failed", record, answer_refund);
    tell(g, "refund.updated", record, answer_refund);
}

void event_tell(struct gateway *g, const struct record *record)
{
    if (g->webhooks == NULL)
        return;
    switch (record->kind) {
    case RECORD_CHARGE:
    case RECORD_CHANGE:
    case RECORD_CONFIRM:
        tell_intent(g, record);
        return;
    case RECORD_REFUND:
        tell(g, "refund.created", record, answer_refund);
        tell(g, "charge.refunded", record, write_charge);
        return;
    case RECORD_REFUND_CHANGE:
        tell_refund_change(g, record);
        return;
    case RECORD_DISPUTE:
        tell(g,
             record->dispute.status == DISPUTE_NEEDS_RESPONSE ? "charge.dispute.created"
                                                              : "charge.dispute.closed",
             record, answer_dispute);
        return;
    case RECORD_OPENED:
    case RECORD_FAILED:
    case RECORD_METHOD:
    case RECORD_CUSTOMER:
        return;
    }
}
