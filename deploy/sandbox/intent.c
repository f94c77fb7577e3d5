/* What becomes of payment intents after their charge: cancelled, captured, acted on by the buyer.
 */
#include <string.h>

#include "common/base/err.h"
#include "deploy/sandbox/payment.h"

static void refuse_state(struct payment *p, const char *message)
{
    const struct answer_error ended = {.status = 400,
                                       .type = "invalid_request_error",
                                       .code = "payment_intent_unexpected_state",
                                       .message = message};
    payment_refuse(p, &ended, &p->base.intent);
}

static void append(struct payment *p, struct store_intent *intent)
{
    p->record.kind = RECORD_CHANGE;
    if (payment_append(p) < 0)
        payment_refuse_unavailable(p);
    else
        intent->busy = true;
}

/* These meet no delay, and only the faults of what reads. */
static void run(struct payment *p)
{
    p->delay_ms = 0;
    payment_run(p, FAULT_NONE);
}

/* ---- cancelling ---- */

static bool can_be_cancelled(const struct payment *p)
{
    switch (p->record.intent.status) {
    case INTENT_SUCCEEDED:
    case INTENT_CANCELED:
        return false;
    case INTENT_PROCESSING:
        return p->gateway->faults.settings.cancel_processing;
    case INTENT_REQUIRES_ACTION:
    case INTENT_REQUIRES_PAYMENT_METHOD:
    case INTENT_REQUIRES_CONFIRMATION:
    case INTENT_REQUIRES_CAPTURE:
        return true;
    }
    return false;
}

static void execute_cancel(struct payment *p)
{
    struct store_intent *intent = payment_read_intent(p, p->id, "intent", 404);
    if (intent == NULL)
        return;
    if (!can_be_cancelled(p)) {
        refuse_state(p, "You cannot cancel this PaymentIntent because of its status.");
        return;
    }
    p->record.intent.status = INTENT_CANCELED;
    p->record.intent.due_ms = 0;
    append(p, intent);
}

void intent_cancel(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_cancel);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_cancel(&p->form, &error) < 0)
        payment_refuse_form(p, &error);
    else
        run(p);
}

/* ---- capturing ---- */

static void execute_capture(struct payment *p)
{
    int64_t amount = p->charge.intent.amount;
    struct store_intent *intent = payment_read_intent(p, p->id, "intent", 404);
    if (intent == NULL)
        return;
    if (p->record.intent.status != INTENT_REQUIRES_CAPTURE) {
        refuse_state(p, "You cannot capture this PaymentIntent because of its status.");
        return;
    }
    if (amount > p->record.intent.amount) {
        payment_refuse_because(p, 400, "amount_too_large", "amount_to_capture",
                               "More cannot be captured than was authorized.");
        return;
    }
    p->record.intent.received = amount == 0 ? p->record.intent.amount : amount;
    p->record.intent.status = INTENT_SUCCEEDED;
    append(p, intent);
}

void intent_capture(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_capture);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_capture(&p->form, &p->charge.intent.amount, &error) < 0)
        payment_refuse_form(p, &error);
    else
        run(p);
}

/* ---- the buyer at the bank ---- */

static void execute_authenticate(struct payment *p)
{
    const char *outcome = form_get(&p->form, "outcome");
    bool approves = strcmp(outcome, "approve") == 0;
    struct store_intent *intent = payment_read_intent(p, p->id, "intent", 404);
    if (intent == NULL)
        return;
    if (p->record.intent.status != INTENT_REQUIRES_ACTION) {
        payment_refuse_because(p, 400, "payment_intent_unexpected_state", NULL,
                               "There is nothing to approve.");
        return;
    }
    struct intent *changed = &p->record.intent;
    changed->status = approves ? INTENT_SUCCEEDED : INTENT_REQUIRES_PAYMENT_METHOD;
    changed->received = approves ? changed->amount : 0;
    append(p, intent);
}

void intent_authenticate(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_authenticate);
    if (p == NULL)
        return;
    const char *outcome = form_get(&p->form, "outcome");
    if (outcome != NULL && (strcmp(outcome, "approve") == 0 || strcmp(outcome, "decline") == 0)) {
        run(p);
        return;
    }
    const struct answer_error wrong = {.status = 400,
                                       .type = "invalid_request_error",
                                       .code = "parameter_missing",
                                       .param = "outcome",
                                       .message = "It is approve or decline."};
    payment_refuse_form(p, &wrong);
}
