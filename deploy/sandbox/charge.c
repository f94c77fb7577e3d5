/* Charges: new payment intents, and the confirmation of those that wait for it. */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/pay/currency.h"
#include "deploy/sandbox/payment.h"
#include "deploy/sandbox/payment_method.h"

/* ---- rules ---- */

/* What Stripe's accounts take: currencies, least and most amounts. False: it has been refused. */
static bool check_money(struct payment *p)
{
    const struct intent *intent = &p->record.intent;
    const struct currency *currency = currency_find(intent->currency);
    if (!p->gateway->faults.settings.amounts)
        return true;
    if (currency == NULL)
        payment_refuse_because(p, 400, NULL, "currency", "This currency is not supported.");
    else if (intent->amount < currency->least)
        payment_refuse_because(p, 400, "amount_too_small", "amount",
                               "The amount is below the least charge of its currency.");
    else if (intent->amount > currency->most)
        payment_refuse_because(p, 400, "amount_too_large", "amount",
                               "The amount is above the largest charge of its currency.");
    else if (intent->amount % currency->step != 0)
        payment_refuse_because(p, 400, "parameter_invalid_integer", "amount",
                               "The last digits of this currency's amounts are zero.");
    else
        return true;
    return false;
}

/* What the account itself refuses. False: it has been refused. */
static bool check_account(struct payment *p)
{
    switch (p->gateway->faults.settings.charges) {
    case CHARGES_OK:
        return true;
    case CHARGES_REFUSED:
        payment_refuse_because(p, 400, NULL, NULL, "Your account cannot make charges now.");
        return false;
    case CHARGES_UNAUTHORIZED:
        payment_refuse_because(p, 401, NULL, NULL, "Invalid API key provided.");
        return false;
    case CHARGES_FORBIDDEN:
        payment_refuse_because(p, 403, NULL, NULL, "The key has no permission to do this.");
        return false;
    }
    return true;
}

static bool check_return_url(struct payment *p)
{
    const struct request_charge *charge = &p->charge;
    if (!charge->confirm || !charge->may_redirect || charge->intent.return_url != NULL ||
        !p->gateway->faults.settings.return_url)
        return true;
    payment_refuse_because(p, 400, NULL, NULL,
                           "Payment methods that redirect need a return_url, or "
                           "allow_redirects=never.");
    return false;
}

/* ---- what becomes of it ---- */

static enum intent_status status_of(const struct payment *p)
{
    if (p->card.name == NULL)
        return INTENT_REQUIRES_PAYMENT_METHOD;
    if (!p->charge.confirm)
        return INTENT_REQUIRES_CONFIRMATION;
    switch (p->card.result) {
    case CARD_PAYS:
    case CARD_PAYS_LESS:
        return p->record.intent.manual ? INTENT_REQUIRES_CAPTURE : INTENT_SUCCEEDED;
    case CARD_DECLINES:
        return INTENT_REQUIRES_PAYMENT_METHOD;
    case CARD_ASKS:
        return INTENT_REQUIRES_ACTION;
    case CARD_PROCESSES:
        return INTENT_PROCESSING;
    case CARD_CAPTURES:
        return INTENT_REQUIRES_CAPTURE;
    case CARD_CONFIRMS:
        return p->record.kind == RECORD_CONFIRM ? INTENT_SUCCEEDED : INTENT_REQUIRES_CONFIRMATION;
    }
    return INTENT_SUCCEEDED;
}

/* Fills in what the payment method makes of the intent. */
static void decide(struct payment *p)
{
    struct intent *intent = &p->record.intent;
    bool disputed_later = p->card.after == AFTER_DISPUTE;
    intent->card = p->card.name;
    intent->status = status_of(p);
    intent->received = intent->status == INTENT_SUCCEEDED ? intent->amount : 0;
    if (intent->status == INTENT_SUCCEEDED && p->card.result == CARD_PAYS_LESS)
        intent->received = intent->amount - 1;
    bool later = intent->status == INTENT_PROCESSING ||
                 (intent->status == INTENT_SUCCEEDED && disputed_later);
    intent->due_ms = later ? clock_wall_ms() + p->gateway->faults.settings.processing_ms : 0;
}

/* The pages of banks are served here, too: where the request came to, unless buyers reach them
 * elsewhere. */
static void name_bank(struct payment *p)
{
    const char *host = http_request_header(p->request, "Host");
    buf_reset(&p->bank);
    if (p->record.intent.return_url == NULL)
        return;
    if (p->gateway->bank_url != NULL)
        (void)buf_str(&p->bank, p->gateway->bank_url);
    else if (host != NULL && strpbrk(host, "\"\\ <>&'") == NULL)
        (void)buf_printf(&p->bank, "%s://%s/3ds/", p->gateway->tls ? "https" : "http", host);
    else
        return;
    p->record.intent.bank = buf_text(&p->bank);
}

/* Records what is not a new intent. False: it has been refused. */
static bool append_changed(struct payment *p)
{
    if (payment_append(p) == 0)
        return true;
    payment_method_undo(p);
    payment_refuse_unavailable(p);
    return false;
}

/* ---- new ones ---- */

static void append_new(struct payment *p)
{
    struct store *store = p->gateway->store;
    if (store_add_intent(store, clock_wall_ms() / 1000, &p->record.intent) < 0) {
        payment_method_undo(p);
        payment_refuse_unavailable(p);
        return;
    }
    if (payment_append(p) < 0) {
        store_drop_intent(store);
        payment_method_undo(p);
        payment_refuse_unavailable(p);
    }
}

static void execute_new(struct payment *p)
{
    p->record.kind = RECORD_CHARGE;
    p->record.error = p->fault == FAULT_500_AFTER_CHARGE ? 500 : 0;
    if (!check_account(p) || !check_money(p) || !check_return_url(p) || !payment_method_use(p))
        return;
    if (p->fault == FAULT_500_CONSUMED) {
        p->record.kind = RECORD_FAILED;
        p->record.error = 500;
        (void)append_changed(p);
        return;
    }
    decide(p);
    append_new(p);
}

static enum fault pick_fault(struct gateway *g, const struct card *card, unsigned asked_before)
{
    enum fault fault = faults_pick(&g->faults);
    return fault == FAULT_NONE && asked_before == 0 ? card->fault : fault;
}

void charge_create(struct gateway *gateway, struct http_request *request, const char *id)
{
    gateway->requests++;
    struct payment *p = payment_begin(gateway, request, id, execute_new);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_charge(&p->form, gateway_version(gateway, request), &p->metadata, &p->charge,
                       &error) < 0) {
        payment_refuse_form(p, &error);
        return;
    }
    p->record.intent = p->charge.intent;
    p->record.intent.live = gateway->faults.settings.livemode;
    if (!payment_method_find(p))
        return;
    name_bank(p);
    const char *order = form_get(&p->form, "metadata[order_id]");
    unsigned asked_before = order == NULL ? 0 : store_ask(gateway->store, order);
    payment_run(p, pick_fault(gateway, &p->card, asked_before));
}

/* ---- confirming ---- */

static void execute_confirm(struct payment *p)
{
    struct store_intent *intent = payment_read_intent(p, p->id, "intent", 404);
    if (intent == NULL)
        return;
    enum intent_status status = p->record.intent.status;
    if (status != INTENT_REQUIRES_PAYMENT_METHOD && status != INTENT_REQUIRES_CONFIRMATION) {
        const struct answer_error ended = {
            .status = 400,
            .type = "invalid_request_error",
            .code = "payment_intent_unexpected_state",
            .message = "This PaymentIntent cannot be confirmed because of its status."};
        payment_refuse(p, &ended, &p->base.intent);
        return;
    }
    p->record.kind = RECORD_CONFIRM;
    p->record.error = p->fault == FAULT_500_AFTER_CHARGE ? 500 : 0;
    if (p->charge.intent.return_url != NULL) {
        p->record.intent.return_url = p->charge.intent.return_url;
        name_bank(p);
    }
    if (!payment_method_find(p) || !payment_method_use(p))
        return;
    decide(p);
    if (append_changed(p))
        intent->busy = true;
}

void charge_confirm(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_confirm);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_confirm(&p->form, &p->charge, &error) < 0) {
        payment_refuse_form(p, &error);
        return;
    }
    payment_run(p, faults_pick(&gateway->faults));
}
