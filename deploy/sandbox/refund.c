#include "deploy/sandbox/refund.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "deploy/sandbox/payment.h"

int refund_check(const struct intent *intent, int64_t *amount, struct answer_error *ret_error)
{
    int64_t left = intent->received - intent->refunded;
    if (intent->status != INTENT_SUCCEEDED)
        return request_invalid(ret_error, "payment_intent_unexpected_state", NULL,
                               "This PaymentIntent has not succeeded.");
    if (intent->disputed)
        return request_invalid(ret_error, "charge_disputed", NULL, "The charge is disputed.");
    if (left <= 0)
        return request_invalid(ret_error, "charge_already_refunded", NULL,
                               "The charge has been refunded already.");
    if (*amount > left)
        return request_invalid(ret_error, NULL, "amount",
                               "The refund is larger than what is left of the charge.");
    *amount = *amount == 0 ? left : *amount;
    return 0;
}

/* What the account itself refuses. False: it has been refused. */
static bool check_account(struct payment *p)
{
    static const struct answer_error no_balance = {
        .status = 400,
        .type = "invalid_request_error",
        .message_code = "insufficient_balance_for_refund",
        .message = "Insufficient funds in your Stripe balance to refund this amount."};
    switch (p->gateway->faults.settings.refunds) {
    case REFUNDS_OK:
    case REFUNDS_PENDING:
    case REFUNDS_FAILING:
        return true;
    case REFUNDS_NO_BALANCE:
        payment_refuse(p, &no_balance, NULL);
        return false;
    case REFUNDS_DISPUTED:
        payment_refuse_because(p, 400, "charge_disputed", NULL, "The charge is disputed.");
        return false;
    case REFUNDS_UNAUTHORIZED:
        payment_refuse_because(p, 401, NULL, NULL, "Invalid API key provided.");
        return false;
    case REFUNDS_FORBIDDEN:
        payment_refuse_because(p, 403, NULL, NULL, "The key has no permission to do this.");
        return false;
    }
    return true;
}

/* Whether it ends at once, or how later. */
static void decide(struct payment *p)
{
    const struct settings *settings = &p->gateway->faults.settings;
    struct refund *refund = &p->record.refund;
    struct card card = {0};
    (void)(p->record.intent.card != NULL && card_find(p->record.intent.card, &card));
    bool pends = card.after == AFTER_REFUND_PENDS || settings->refunds == REFUNDS_PENDING;
    bool fails = card.after == AFTER_REFUND_FAILS || settings->refunds == REFUNDS_FAILING;
    refund->created = clock_wall_ms() / 1000;
    refund->status = pends ? REFUND_PENDING : REFUND_SUCCEEDED;
    refund->ends = fails ? REFUND_FAILED : REFUND_SUCCEEDED;
    refund->due_ms = pends || fails ? clock_wall_ms() + settings->processing_ms : 0;
}

static void execute_refund(struct payment *p)
{
    struct store *store = p->gateway->store;
    struct refund asked = p->record.refund;
    struct answer_error error;
    struct store_intent *intent =
        payment_read_intent(p, form_get(&p->form, "payment_intent"), "payment_intent", 400);
    if (intent == NULL || !check_account(p))
        return;
    if (refund_check(&p->record.intent, &asked.amount, &error) < 0) {
        payment_refuse(p, &error, NULL);
        return;
    }
    p->record.kind = RECORD_REFUND;
    bool fails = p->fault == FAULT_500_AFTER_CHARGE || p->fault == FAULT_500_CONSUMED;
    p->record.error = fails ? 500 : 0;
    p->record.refund = asked;
    p->record.intent.refunded += asked.amount;
    decide(p);
    if (store_add(store, STORE_REFUNDS, &p->record.refund.number) < 0) {
        payment_refuse_unavailable(p);
    } else if (payment_append(p) < 0) {
        store_drop(store, STORE_REFUNDS);
        payment_refuse_unavailable(p);
    } else {
        intent->busy = true;
    }
}

void refund_create(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_refund);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_refund(&p->form, &p->metadata, &p->record.refund, &error) < 0)
        payment_refuse_form(p, &error);
    else
        payment_run(p, faults_pick(&gateway->faults));
}
