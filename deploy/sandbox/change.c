#include "deploy/sandbox/change.h"

#include <stdlib.h>

#include "common/base/err.h"
#include "deploy/sandbox/event.h"
#include "deploy/sandbox/later.h"

void change_cancel(struct change *change)
{
    TAILQ_REMOVE(&change->gateway->changes, change, link);
    record_free(&change->base);
    free(change);
}

int change_begin(struct gateway *g, uint64_t intent, struct ledger_place place,
                 struct change **ret_change)
{
    const struct store_intent *changed = store_intent(g->store, intent);
    if (changed == NULL || changed->busy || g->draining)
        return ERR_CONFLICT;
    struct change *change = calloc(1, sizeof *change);
    if (change == NULL)
        return ERR_NOMEM;
    change->gateway = g;
    TAILQ_INSERT_TAIL(&g->changes, change, link);
    int code = ledger_read(g->ledger, place, &change->base);
    if (code < 0) {
        change_cancel(change);
        return ERR_IO;
    }
    change->record = (struct record){.kind = RECORD_CHANGE,
                                     .intent = change->base.intent,
                                     .refund = change->base.refund,
                                     .dispute = change->base.dispute};
    *ret_change = change;
    return 0;
}

static void durable(void *arg)
{
    struct change *change = arg;
    struct gateway *g = change->gateway;
    store_settle(g->store, &change->record, change->place);
    later_note(g->later, &change->record);
    event_tell(g, &change->record);
    if (change->request != NULL) {
        buf_reset(&g->out);
        unsigned status = answer_record(&change->record, ledger_salt(g->ledger), &g->out);
        gateway_respond(g, change->request, status, &g->out, NULL);
    }
    change_cancel(change);
    gateway_tell_drained(g);
}

int change_commit(struct change *change)
{
    struct gateway *g = change->gateway;
    change->wait.cb = durable;
    change->wait.arg = change;
    if (ledger_append(g->ledger, &change->record, &change->wait, &change->place) < 0) {
        change_cancel(change);
        return ERR_FULL;
    }
    store_intent(g->store, change->record.intent.number)->busy = true;
    return 0;
}

void change_free_all(struct gateway *g)
{
    for (struct change *change = TAILQ_FIRST(&g->changes), *next; change != NULL; change = next) {
        next = TAILQ_NEXT(change, link);
        change_cancel(change);
    }
}
