#include "deploy/sandbox/payment_impl.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "deploy/sandbox/event.h"
#include "deploy/sandbox/later.h"

#define TEXT_MAX ((size_t)8192)
#define METADATA_MAX ((size_t)20 * 1024)
#define KEY_MAX 255

static void timer_due(void *arg);

/* ---- a payment's life ---- */

static void free_payment(struct payment *p)
{
    buf_free(&p->text);
    buf_free(&p->metadata);
    buf_free(&p->bank);
    record_free(&p->base);
    loop_timer_free(p->timer);
    free(p);
}

static struct payment *new_payment(struct gateway *g)
{
    struct payment *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->gateway = g;
    p->timer = loop_timer_new(g->loop, timer_due, p);
    if (p->timer == NULL) {
        free(p);
        return NULL;
    }
    buf_init(&p->text, TEXT_MAX);
    buf_init(&p->metadata, METADATA_MAX);
    buf_init(&p->bank, TEXT_MAX);
    return p;
}

/* NULL: it has been refused. */
static struct payment *take_payment(struct gateway *g, struct http_request *request)
{
    static const struct answer_error no_memory = {
        .status = 503, .type = "api_error", .message = "Out of memory."};
    struct payment *p = TAILQ_FIRST(&g->idle);
    if (p != NULL) {
        TAILQ_REMOVE(&g->idle, p, link);
        g->idle_count--;
    } else {
        p = new_payment(g);
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

void gateway_tell_drained(struct gateway *g)
{
    if (!g->draining || g->drained == NULL || !TAILQ_EMPTY(&g->open) || !TAILQ_EMPTY(&g->changes))
        return;
    loop_cb drained = g->drained;
    g->drained = NULL; /* once */
    drained(g->drained_arg);
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

/* ---- executing ---- */

static void execute(struct payment *p)
{
    static const struct answer_error refused = {.status = 400,
                                                .type = "invalid_request_error",
                                                .message = "This request was not accepted."};
    if (p->gateway->draining) {
        payment_refuse_unavailable(p);
    } else if (p->fault == FAULT_400_KEPT && p->record.key != NULL) {
        payment_refuse_kept(p, &refused, NULL);
    } else if (p->fault == FAULT_400 || p->fault == FAULT_400_KEPT) {
        payment_refuse_unkept(p, &refused, NULL);
    } else if (p->fault == FAULT_500) {
        p->record.kind = RECORD_FAILED;
        p->record.error = 500;
        if (payment_append(p) < 0)
            payment_refuse_unavailable(p);
    } else {
        p->execute(p);
    }
}

static void timer_due(void *arg)
{
    struct payment *p = arg;
    switch (p->state) {
    case PAYMENT_DELAYED:
        execute(p);
        return;
    case PAYMENT_HELD:
        payment_answer(p);
        return;
    case PAYMENT_REPLAYED:
        payment_answer_again(p);
        return;
    case PAYMENT_SILENT:
        payment_cut(p, NULL, 0);
        return;
    case PAYMENT_RECORDING:
        return;
    }
}

/* Goes on by timer_due in `delay_ms`. */
static void delay(struct payment *p, enum payment_state state, uint32_t delay_ms)
{
    p->state = state;
    if (delay_ms == 0 || p->gateway->draining)
        timer_due(p);
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
    delay(p, PAYMENT_HELD, p->delay_ms - p->delay_ms / 2);
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

/* The faults after which nothing is executed. */
static void fail_before(struct payment *p)
{
    static const struct answer_error many = {.status = 429,
                                             .type = "invalid_request_error",
                                             .code = "rate_limit",
                                             .message = "Too many requests hit the API."};
    static const struct answer_error held = {.status = 409,
                                             .type = "invalid_request_error",
                                             .code = "lock_timeout",
                                             .message =
                                                 "Another request holds this object; try again."};
    const char *key = p->record.key;
    if (p->fault == FAULT_429) {
        payment_refuse_unkept(p, &many, NULL);
    } else if (p->fault == FAULT_409) {
        payment_refuse_unkept(p, &held, NULL);
    } else {
        if (key != NULL)
            store_drop_key(p->gateway->store, key);
        p->record.key = NULL;
        if (p->fault == FAULT_RESET)
            payment_cut(p, NULL, 0);
        else
            payment_go_silent(p);
    }
}

void payment_run(struct payment *p, enum fault fault)
{
    p->fault = fault;
    if (!fault_charges(fault) && fault != FAULT_400) {
        fail_before(p);
        return;
    }
    if (fault == FAULT_SLOW)
        p->delay_ms += p->gateway->faults.slow_ms;
    delay(p, PAYMENT_DELAYED, p->delay_ms / 2);
}

/* ---- reading a request ---- */

/* Looks the key up. True: go on; else it is answered, or will be. */
static bool use_key(struct payment *p, const char *key)
{
    static const struct answer_error busy = {
        .status = 409,
        .type = "idempotency_error",
        .code = "idempotency_key_in_use",
        .message = "Another request with this Idempotency-Key is being executed; try again."};
    static const struct answer_error other = {
        .status = 400,
        .type = "idempotency_error",
        .message = "Keys for idempotent requests can only be used with the same parameters they "
                   "were first used with."};
    struct gateway *g = p->gateway;
    enum store_key_state state;
    p->record.fingerprint = form_fingerprint(&p->form, http_request_path(p->request));
    p->record.used = clock_wall_ms() / 1000;
    if (store_use_key(g->store, key, p->record.fingerprint, p->record.used,
                      g->faults.settings.key_seconds, &state, &p->place) < 0) {
        payment_refuse_unavailable(p);
        return false;
    }
    if (state == STORE_KEY_NEW) {
        p->record.key = key;
        return true;
    }
    if (state == STORE_KEY_KNOWN)
        delay(p, PAYMENT_REPLAYED, p->delay_ms);
    else
        payment_refuse_unkept(p, state == STORE_KEY_BUSY ? &busy : &other, NULL);
    return false;
}

/* Reads the form. True: go on; else it is answered, or will be. */
static bool read_form(struct payment *p)
{
    static const struct answer_error no_form = {.status = 400,
                                                .type = "invalid_request_error",
                                                .message =
                                                    "The body is no form, or has too many fields."};
    static const struct answer_error bad_key = {.status = 400,
                                                .type = "invalid_request_error",
                                                .message =
                                                    "An Idempotency-Key has 1 to 255 characters."};
    size_t len;
    const char *body = http_request_body(p->request, &len);
    const char *key = http_request_header(p->request, "Idempotency-Key");
    buf_reset(&p->text);
    (void)buf_append(&p->text, body, len);
    if (p->text.failed || form_parse(p->text.data, len, &p->form) < 0) {
        payment_refuse_unkept(p, &no_form, NULL);
        return false;
    }
    if (key != NULL && (key[0] == '\0' || strlen(key) > KEY_MAX)) {
        payment_refuse_unkept(p, &bad_key, NULL);
        return false;
    }
    return key == NULL || use_key(p, key);
}

struct payment *payment_begin(struct gateway *gateway, struct http_request *request, const char *id,
                              payment_execute execute_it)
{
    struct payment *p = take_payment(gateway, request);
    if (p == NULL)
        return NULL;
    p->execute = execute_it;
    p->delay_ms = faults_delay_ms(&gateway->faults);
    p->id[0] = '\0';
    if (strlen(id) < sizeof p->id)
        memcpy(p->id, id, strlen(id) + 1);
    return read_form(p) ? p : NULL;
}

struct store_intent *payment_read_intent(struct payment *p, const char *id, const char *param,
                                         unsigned missing_status)
{
    struct gateway *g = p->gateway;
    uint64_t number;
    struct store_intent *intent = NULL;
    if (id != NULL && record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL) {
        payment_refuse_because(p, missing_status, "resource_missing", param,
                               "No such payment_intent.");
        return NULL;
    }
    if (intent->busy) {
        payment_refuse_busy(p);
        return NULL;
    }
    if (ledger_read(g->ledger, intent->place, &p->base) < 0) {
        payment_refuse_unreadable(p);
        return NULL;
    }
    p->record.intent = p->base.intent;
    return intent;
}

/* ---- the end ---- */

void payment_drain(struct gateway *gateway)
{
    struct payment *next;
    for (struct payment *p = TAILQ_FIRST(&gateway->open); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        loop_timer_stop(p->timer);
        timer_due(p);
    }
    gateway_tell_drained(gateway);
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
