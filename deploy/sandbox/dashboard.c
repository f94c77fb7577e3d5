#include "deploy/sandbox/dashboard.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "deploy/sandbox/change.h"
#include "deploy/sandbox/refund.h"
#include "deploy/sandbox/request.h"

struct action {
    struct gateway *gateway;
    struct http_request *request;
    const json_t *object; /* its members */
};

static void refuse(const struct action *action, unsigned status, const char *message)
{
    const struct answer_error error = {
        .status = status, .type = "invalid_request_error", .message = message};
    gateway_refuse(action->gateway, action->request, &error, NULL, false);
}

static const char *text_of(const struct action *action, const char *name)
{
    return json_string_value(json_object_get(action->object, name));
}

/* 0 if it is absent; -1 if it is no number. */
static int64_t number_of(const struct action *action, const char *name)
{
    const json_t *value = json_object_get(action->object, name);
    if (value == NULL)
        return 0;
    return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : -1;
}

static void commit(const struct action *action, struct change *change)
{
    change->request = action->request;
    if (change_commit(change) < 0)
        refuse(action, 503, "there is no room");
}

/* Begins a change of the intent that is named. NULL: it has been refused. */
static struct change *begin_intent(const struct action *action)
{
    struct gateway *g = action->gateway;
    const char *id = text_of(action, "payment_intent");
    uint64_t number;
    const struct store_intent *intent = NULL;
    struct change *change;
    if (id != NULL && record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL) {
        refuse(action, 404, "payment_intent names none");
        return NULL;
    }
    if (change_begin(g, number, intent->place, &change) < 0) {
        refuse(action, 409, "the payment_intent is being changed");
        return NULL;
    }
    return change;
}

/* The same of a refund or a dispute, with what its intent is now. */
static struct change *begin_part(const struct action *action, const char *name, const char *prefix,
                                 enum store_kind kind)
{
    struct gateway *g = action->gateway;
    const char *id = text_of(action, name);
    uint64_t number;
    const struct store_part *part = NULL;
    struct change *change;
    struct record last;
    if (id != NULL && record_number(id, prefix, ledger_salt(g->ledger), &number) == 0)
        part = store_part(g->store, kind, number);
    if (part == NULL) {
        refuse(action, 404, "there is none of that id");
        return NULL;
    }
    if (change_begin(g, part->intent, part->place, &change) < 0) {
        refuse(action, 409, "its payment_intent is being changed");
        return NULL;
    }
    if (ledger_read(g->ledger, store_intent(g->store, part->intent)->place, &last) == 0) {
        change->record.intent.refunded = last.intent.refunded;
        change->record.intent.disputed = last.intent.disputed;
        change->record.intent.due_ms = last.intent.due_ms;
        record_free(&last);
    }
    return change;
}

/* ---- refunds ---- */

static void refund(const struct action *action)
{
    static const char empty[] = "{}";
    struct answer_error error;
    int64_t amount = number_of(action, "amount");
    struct change *change = amount < 0 ? NULL : begin_intent(action);
    if (amount < 0)
        refuse(action, 400, "amount is no sum");
    if (change == NULL)
        return;
    struct record *record = &change->record;
    if (refund_check(&record->intent, &amount, &error) < 0) {
        change_cancel(change);
        gateway_refuse(action->gateway, action->request, &error, NULL, false);
        return;
    }
    record->kind = RECORD_REFUND;
    record->intent.refunded += amount;
    record->refund = (struct refund){.amount = amount,
                                     .created = clock_wall_ms() / 1000,
                                     .reason = "requested_by_customer",
                                     .metadata = empty};
    if (store_add(action->gateway->store, STORE_REFUNDS, &record->refund.number) < 0) {
        change_cancel(change);
        refuse(action, 503, "there is no room");
        return;
    }
    commit(action, change);
}

static void fail_refund(const struct action *action)
{
    struct change *change = begin_part(action, "refund", "re_", STORE_REFUNDS);
    if (change == NULL)
        return;
    if (change->record.refund.status == REFUND_FAILED) {
        change_cancel(change);
        refuse(action, 400, "it has failed before");
        return;
    }
    change->record.kind = RECORD_REFUND_CHANGE;
    change->record.refund.status = REFUND_FAILED;
    change->record.refund.due_ms = 0;
    change->record.intent.refunded -= change->record.refund.amount;
    commit(action, change);
}

/* ---- disputes ---- */

/* The text stays. "fraudulent" if it is none of Stripe's. */
static const char *reason_of(const struct action *action)
{
    static const char *const reasons[] = {"fraudulent", "product_not_received", "duplicate",
                                          "product_unacceptable", "general"};
    const char *wanted = text_of(action, "reason");
    for (size_t i = 0; wanted != NULL && i < ARRAY_LEN(reasons); i++)
        if (strcmp(wanted, reasons[i]) == 0)
            return reasons[i];
    return reasons[0];
}

static void dispute(const struct action *action)
{
    int64_t amount = number_of(action, "amount");
    struct change *change = amount < 0 ? NULL : begin_intent(action);
    if (amount < 0)
        refuse(action, 400, "amount is no sum");
    if (change == NULL)
        return;
    struct record *record = &change->record;
    if (record->intent.status != INTENT_SUCCEEDED || record->intent.disputed) {
        change_cancel(change);
        refuse(action, 400, "only what has succeeded can be disputed, once at a time");
        return;
    }
    record->kind = RECORD_DISPUTE;
    record->intent.disputed = true;
    record->dispute = (struct dispute){.status = DISPUTE_NEEDS_RESPONSE,
                                       .amount = amount == 0 ? record->intent.received : amount,
                                       .created = clock_wall_ms() / 1000,
                                       .reason = reason_of(action)};
    if (store_add(action->gateway->store, STORE_DISPUTES, &record->dispute.number) < 0) {
        change_cancel(change);
        refuse(action, 503, "there is no room");
        return;
    }
    commit(action, change);
}

static void close_dispute(const struct action *action)
{
    const char *status = text_of(action, "status");
    bool won = status != NULL && strcmp(status, "won") == 0;
    if (!won && (status == NULL || strcmp(status, "lost") != 0)) {
        refuse(action, 400, "status is won or lost");
        return;
    }
    struct change *change = begin_part(action, "dispute", "dp_", STORE_DISPUTES);
    if (change == NULL)
        return;
    change->record.kind = RECORD_DISPUTE;
    change->record.dispute.status = won ? DISPUTE_WON : DISPUTE_LOST;
    change->record.intent.disputed = !won;
    commit(action, change);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    void (*act)(const struct action *action);
} actions[] = {
    {"refund", refund},
    {"fail_refund", fail_refund},
    {"dispute", dispute},
    {"close_dispute", close_dispute},
};

bool dashboard_act(struct gateway *gateway, struct http_request *request, const json_t *body)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        const json_t *object = json_object_get(body, actions[i].name);
        const struct action action = {gateway, request, object};
        if (!json_is_object(object))
            continue;
        if (json_object_size(body) == 1)
            actions[i].act(&action);
        else
            refuse(&action, 400, "an action of the dashboard comes alone");
        return true;
    }
    return false;
}
