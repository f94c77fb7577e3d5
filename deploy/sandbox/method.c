/* Payment methods and customers: made, attached, detached. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "deploy/sandbox/payment.h"

static void append(struct payment *p)
{
    p->record.kind = RECORD_METHOD;
    if (payment_append(p) < 0)
        payment_refuse_unavailable(p);
}

static void append_new(struct payment *p, enum store_kind kind, uint64_t *ret_number)
{
    if (store_add(p->gateway->store, kind, ret_number) < 0) {
        payment_refuse_unavailable(p);
    } else if (payment_append(p) < 0) {
        store_drop(p->gateway->store, kind);
        payment_refuse_unavailable(p);
    }
}

/* ---- payment methods ---- */

static void execute_create(struct payment *p)
{
    if (!card_find_token(p->charge.method, &p->card)) {
        payment_refuse_because(p, 400, "resource_missing", "card[token]", "No such token.");
        return;
    }
    p->record.kind = RECORD_METHOD;
    p->record.method = (struct method){
        .card = p->card.name, .customer = RECORD_NONE, .created = clock_wall_ms() / 1000};
    append_new(p, STORE_METHODS, &p->record.method.number);
}

void method_create(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_create);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_method(&p->form, &p->charge.method, &error) < 0)
        payment_refuse_form(p, &error);
    else
        payment_run(p, FAULT_NONE);
}

/* Reads the last record of the one in the path. NULL: it has been refused. */
static struct store_method *read_it(struct payment *p)
{
    struct gateway *g = p->gateway;
    uint64_t number;
    struct store_method *method = NULL;
    if (record_number(p->id, "pm_", ledger_salt(g->ledger), &number) == 0)
        method = store_method(g->store, number);
    if (method == NULL) {
        payment_refuse_because(p, 404, "resource_missing", "payment_method",
                               "No such PaymentMethod.");
        return NULL;
    }
    if (ledger_read(g->ledger, method->place, &p->base) < 0) {
        payment_refuse_unreadable(p);
        return NULL;
    }
    p->record.method = p->base.method;
    return method;
}

/* A template is cloned, and the clone is attached. */
static void attach_template(struct payment *p, uint64_t customer)
{
    p->record.kind = RECORD_METHOD;
    p->record.method = (struct method){
        .card = p->card.name, .customer = customer, .created = clock_wall_ms() / 1000};
    append_new(p, STORE_METHODS, &p->record.method.number);
}

static void execute_attach(struct payment *p)
{
    struct gateway *g = p->gateway;
    uint64_t customer;
    if (record_number(p->charge.customer, "cus_", ledger_salt(g->ledger), &customer) < 0 ||
        store_place(g->store, STORE_CUSTOMERS, customer).len == 0) {
        payment_refuse_because(p, 400, "resource_missing", "customer", "No such customer.");
        return;
    }
    if (card_find(p->id, &p->card)) {
        attach_template(p, customer);
        return;
    }
    const struct store_method *method = read_it(p);
    if (method == NULL)
        return;
    if (method->consumed || method->customer != RECORD_NONE) {
        payment_refuse_because(p, 400, NULL, NULL,
                               "The PaymentMethod was used without a Customer, was detached from "
                               "one, or has one.");
        return;
    }
    p->record.method.customer = customer;
    append(p);
}

void method_attach(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_attach);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_attach(&p->form, &p->charge.customer, &error) < 0)
        payment_refuse_form(p, &error);
    else
        payment_run(p, FAULT_NONE);
}

static void execute_detach(struct payment *p)
{
    const struct store_method *method = read_it(p);
    if (method == NULL)
        return;
    if (method->customer == RECORD_NONE) {
        payment_refuse_because(p, 400, NULL, NULL, "The PaymentMethod has no Customer.");
        return;
    }
    p->record.method.customer = RECORD_NONE;
    p->record.method.consumed = true;
    append(p);
}

void method_detach(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_detach);
    if (p != NULL)
        payment_run(p, FAULT_NONE);
}

/* ---- customers ---- */

static void execute_customer(struct payment *p)
{
    p->record.kind = RECORD_CUSTOMER;
    p->record.customer.created = clock_wall_ms() / 1000;
    append_new(p, STORE_CUSTOMERS, &p->record.customer.number);
}

void customer_create(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = payment_begin(gateway, request, id, execute_customer);
    struct answer_error error;
    if (p == NULL)
        return;
    if (request_customer(&p->form, &p->metadata, &p->record.customer, &error) < 0)
        payment_refuse_form(p, &error);
    else
        payment_run(p, FAULT_NONE);
}
