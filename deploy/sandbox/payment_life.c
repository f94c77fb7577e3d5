/* A payment from its request to its end, and how its record becomes durable. */
#include <stdlib.h>

#include "deploy/sandbox/event.h"
#include "deploy/sandbox/later.h"
#include "deploy/sandbox/payment_impl.h"

#define TEXT_MAX ((size_t)8192)
#define METADATA_MAX ((size_t)20 * 1024)

static void free_payment(struct payment *p)
{
    buf_free(&p->text);
    buf_free(&p->metadata);
    buf_free(&p->bank);
    record_free(&p->base);
    loop_timer_free(p->timer);
    free(p);
}

static struct payment *new_payment(struct gateway *g, loop_cb go_on)
{
    struct payment *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->gateway = g;
    p->go_on = go_on;
    p->timer = loop_timer_new(g->loop, go_on, p);
    if (p->timer == NULL) {
        free(p);
        return NULL;
    }
    buf_init(&p->text, TEXT_MAX);
    buf_init(&p->metadata, METADATA_MAX);
    buf_init(&p->bank, TEXT_MAX);
    return p;
}

struct payment *payment_take(struct gateway *g, struct http_request *request, loop_cb go_on)
{
    static const struct answer_error no_memory = {
        .status = 503, .type = "api_error", .message = "Out of memory."};
    struct payment *p = TAILQ_FIRST(&g->idle);
    if (p != NULL) {
        TAILQ_REMOVE(&g->idle, p, link);
        g->idle_count--;
    } else {
        p = new_payment(g, go_on);
    }
    if (p == NULL) {
        gateway_refuse(g, request, &no_memory, NULL, false);
        return NULL;
    }
    p->request = request;
    p->state = PAYMENT_DELAYED;
    p->fault = FAULT_NONE;
    p->delay_ms = 0;
    p->record = (struct record){0};
    p->charge = (struct request_charge){0};
    p->card = (struct card){0};
    TAILQ_INSERT_TAIL(&g->open, p, link);
    return p;
}

void payment_end(struct payment *p)
{
    struct gateway *g = p->gateway;
    TAILQ_REMOVE(&g->open, p, link);
    record_free(&p->base);
    if (g->idle_count < PAYMENT_IDLE_MAX) {
        TAILQ_INSERT_HEAD(&g->idle, p, link);
        g->idle_count++;
    } else {
        free_payment(p);
    }
    gateway_tell_drained(g);
}

void payment_free_all(struct gateway *gateway)
{
    struct payment *p;
    while ((p = TAILQ_FIRST(&gateway->open)) != NULL) {
        TAILQ_REMOVE(&gateway->open, p, link);
        free_payment(p);
    }
    while ((p = TAILQ_FIRST(&gateway->idle)) != NULL) {
        TAILQ_REMOVE(&gateway->idle, p, link);
        free_payment(p);
    }
}

/* ---- going on ---- */

void payment_delay(struct payment *p, enum payment_state state, uint32_t delay_ms)
{
    p->state = state;
    if (delay_ms == 0 || p->gateway->draining)
        p->go_on(p);
    else
        loop_timer_start(p->timer, delay_ms, 0);
}

static void durable(void *arg)
{
    struct payment *p = arg;
    store_settle(p->gateway->store, &p->record, p->place);
    later_note(p->gateway->later, &p->record);
    if (p->gateway->faults.webhooks != WEBHOOKS_EARLY)
        event_tell(p->gateway, &p->record);
    payment_delay(p, PAYMENT_HELD, p->delay_ms - p->delay_ms / 2);
}

int payment_append(struct payment *p)
{
    p->state = PAYMENT_RECORDING;
    p->wait.cb = durable;
    p->wait.arg = p;
    int code = ledger_append(p->gateway->ledger, &p->record, &p->wait, &p->place);
    if (code == 0 && p->gateway->faults.webhooks == WEBHOOKS_EARLY)
        event_tell(p->gateway, &p->record);
    return code;
}
