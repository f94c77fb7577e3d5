#include "deploy/sandbox/payment_method.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"

/* ---- finding ---- */

static bool refuse_missing(struct payment *p, const char *param)
{
    payment_refuse_because(p, p->gateway->faults.settings.missing_method, "resource_missing", param,
                           "There is no such object here.");
    return false;
}

/* What the payment method with this number behaves as. False: it has been refused. */
static bool read_card(struct payment *p, uint64_t number)
{
    struct gateway *g = p->gateway;
    const struct store_method *method = store_method(g->store, number);
    struct record record;
    if (method == NULL)
        return refuse_missing(p, "payment_method");
    if (ledger_read(g->ledger, method->place, &record) < 0) {
        payment_refuse_unreadable(p);
        return false;
    }
    bool found = record.method.card != NULL && card_find(record.method.card, &p->card);
    p->method_created = record.method.created;
    record_free(&record);
    p->record.intent.method = number;
    return found || refuse_missing(p, "payment_method");
}

/* Test payment methods are for test keys. */
static bool refuse_test_id(struct payment *p)
{
    payment_refuse_because(p, 400, NULL, NULL,
                           "You cannot use a test ID in livemode; use your own payment methods.");
    return false;
}

static bool find_method(struct payment *p)
{
    const char *id = p->charge.method;
    uint64_t number;
    if (id == NULL && p->record.intent.method == RECORD_NONE) {
        if (!p->charge.confirm)
            return true;
        payment_refuse_because(p, 400, NULL, NULL, "The PaymentIntent has no payment method.");
        return false;
    }
    if (id == NULL)
        return read_card(p, p->record.intent.method);
    if (record_number(id, "pm_", ledger_salt(p->gateway->ledger), &number) == 0)
        return read_card(p, number);
    p->record.intent.method = RECORD_NONE; /* a clone gets one when it is used */
    if (!card_find(id, &p->card))
        return refuse_missing(p, "payment_method");
    return !p->gateway->faults.settings.livemode || refuse_test_id(p);
}

static bool find_customer(struct payment *p)
{
    const char *id = p->charge.customer;
    uint64_t number;
    if (id == NULL)
        return true;
    if (record_number(id, "cus_", ledger_salt(p->gateway->ledger), &number) < 0 ||
        store_place(p->gateway->store, STORE_CUSTOMERS, number).len == 0)
        return refuse_missing(p, "customer");
    p->record.intent.customer = number;
    return true;
}

bool payment_method_find(struct payment *p)
{
    if (!find_method(p) || !find_customer(p))
        return false;
    if (p->card.name == NULL || request_allows(&p->charge, p->card.type))
        return true;
    payment_refuse_because(p, 400, "payment_intent_incompatible_payment_method", "payment_method",
                           "Payment methods of this type are not allowed for this PaymentIntent.");
    return false;
}

/* ---- using ---- */

static bool refuse_used(struct payment *p)
{
    payment_refuse_because(p, 400, NULL, NULL,
                           "The PaymentMethod was used before without a Customer, or was detached "
                           "from one; it cannot be used again.");
    return false;
}

/* Whether this charge is the one use of a payment method without a customer. */
static bool consumes(const struct payment *p, uint64_t customer)
{
    return customer == RECORD_NONE && p->charge.confirm && p->gateway->faults.settings.consume;
}

/* Attaches the payment method to the customer of the intent, where that is wanted and it pays. */
static void save(struct payment *p)
{
    bool pays = p->card.result == CARD_PAYS || p->card.result == CARD_PROCESSES;
    if (!p->charge.saves || !p->charge.confirm || !pays || p->record.intent.customer == RECORD_NONE)
        return;
    p->record.method.customer = p->record.intent.customer;
    p->record.method.consumed = false;
}

static bool clone(struct payment *p)
{
    struct method *method = &p->record.method;
    uint64_t number = 0;
    if (store_add(p->gateway->store, STORE_METHODS, &number) < 0) {
        payment_refuse_unavailable(p);
        return false;
    }
    *method = (struct method){.number = number,
                              .card = p->card.name,
                              .customer = RECORD_NONE,
                              .created = clock_wall_ms() / 1000,
                              .consumed = consumes(p, RECORD_NONE)};
    p->record.intent.method = number;
    save(p);
    return true;
}

/* Whether an intent that waits for one more confirmation is confirmed with what it has. */
static bool goes_on(const struct payment *p)
{
    const struct intent *before = &p->base.intent;
    return p->record.kind == RECORD_CONFIRM && before->status == INTENT_REQUIRES_CONFIRMATION &&
           before->method == p->record.intent.method;
}

bool payment_method_use(struct payment *p)
{
    struct intent *intent = &p->record.intent;
    if (p->card.name == NULL)
        return true;
    if (intent->method == RECORD_NONE)
        return clone(p);
    struct store_method *method = store_method(p->gateway->store, intent->method);
    if (method == NULL)
        return refuse_missing(p, "payment_method");
    if (method->consumed && p->gateway->faults.settings.consume && !goes_on(p))
        return refuse_used(p);
    if (method->customer != RECORD_NONE && method->customer != intent->customer) {
        payment_refuse_because(p, 400, NULL, "payment_method",
                               "The PaymentMethod belongs to another Customer than this "
                               "PaymentIntent, or the PaymentIntent names none.");
        return false;
    }
    p->record.method = (struct method){.number = intent->method,
                                       .card = p->card.name,
                                       .customer = method->customer,
                                       .created = p->method_created,
                                       .consumed = consumes(p, method->customer)};
    save(p);
    method->consumed = p->record.method.consumed; /* at once: two may come together */
    return true;
}

void payment_method_undo(struct payment *p)
{
    struct store *store = p->gateway->store;
    const struct method *used = &p->record.method;
    if (used->card == NULL)
        return;
    struct store_method *method = store_method(store, used->number);
    if (method == NULL) /* a clone, which was never to be seen */
        store_drop(store, STORE_METHODS);
    else
        method->consumed = false;
}
