/*
 * Payments: one request that changes something, from its form to its durable record and its answer.
 *
 *   charge, refund: key and form checked -> (half the delay) -> recorded -> durable -> (the rest)
 *   -> answered; cancel: the same without delay and faults
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/form.h"
#include "deploy/sandbox/gateway_impl.h"
#include "deploy/sandbox/request.h"

#define TEXT_MAX ((size_t)8192)
#define METADATA_MAX ((size_t)20 * 1024)
#define KEY_MAX 255
#define NEVER_MS 600000 /* an answer that never comes: its connection is given up then */

enum payment_state {
    PAYMENT_DELAYED,   /* not executed yet */
    PAYMENT_RECORDING, /* until the ledger is synced */
    PAYMENT_HELD,      /* executed; its answer comes later */
    PAYMENT_REPLAYED,  /* was executed before; its answer comes later */
    PAYMENT_SILENT,    /* never to be answered */
};

struct payment {
    struct gateway *gateway;
    TAILQ_ENTRY(payment) link;
    struct http_request *request;
    enum payment_state state;
    struct buf text; /* the decoded form */
    struct form form;
    struct buf metadata;
    struct buf bank;
    struct record record; /* its texts are in the request, `text`, `metadata` and `base` */
    struct record base;   /* the intent's last record, of a cancel or a refund */
    struct ledger_place place;
    struct ledger_wait wait;
    enum fault fault;
    bool refunding;
    uint32_t delay_ms;
    struct loop_timer *timer;
};

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
    static const struct answer_error no_memory = {503, "api_error", NULL, NULL, "Out of memory."};
    struct payment *p = TAILQ_FIRST(&g->idle);
    if (p != NULL) {
        TAILQ_REMOVE(&g->idle, p, link);
        g->idle_count--;
    } else {
        p = new_payment(g);
    }
    if (p == NULL) {
        gateway_refuse(g, request, &no_memory, NULL);
        return NULL;
    }
    p->request = request;
    p->state = PAYMENT_DELAYED;
    p->fault = FAULT_NONE;
    p->refunding = false;
    p->delay_ms = 0;
    p->record = (struct record){0};
    TAILQ_INSERT_TAIL(&g->open, p, link);
    return p;
}

static void tell_drained(struct gateway *g)
{
    if (!g->draining || g->drained == NULL || !TAILQ_EMPTY(&g->open))
        return;
    loop_cb drained = g->drained;
    g->drained = NULL; /* once */
    drained(g->drained_arg);
}

/* It is answered. */
static void end_payment(struct payment *p)
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
    tell_drained(g);
}

/* It was not executed: its key may be used again. */
static void refuse_showing(struct payment *p, const struct answer_error *error,
                           const struct intent *intent)
{
    if (p->record.key != NULL)
        store_drop_key(p->gateway->store, p->record.key);
    gateway_refuse(p->gateway, p->request, error, intent);
    end_payment(p);
}

static void refuse(struct payment *p, unsigned status, const char *code, const char *param,
                   const char *message)
{
    const char *type = status < 500 ? "invalid_request_error" : "api_error";
    const struct answer_error error = {status, type, code, param, message};
    refuse_showing(p, &error, NULL);
}

static void refuse_busy(struct payment *p)
{
    refuse(p, 429, "lock_timeout", NULL,
           "Another request is changing this object; try again in a moment.");
}

static void refuse_unavailable(struct payment *p)
{
    refuse(p, 503, NULL, NULL, "The gateway is leaving, or out of memory; try again.");
}

/* ---- answering ---- */

static void go_silent(struct payment *p)
{
    p->state = PAYMENT_SILENT;
    loop_timer_start(p->timer, NEVER_MS, 0);
}

static void cut_connection(struct payment *p, const char *raw, size_t len)
{
    http_abort(p->request, raw, len);
    end_payment(p);
}

/* The head promises all of the body; half of it follows. */
static void answer_partly(struct payment *p, unsigned status)
{
    struct buf raw;
    buf_init(&raw, TEXT_MAX * 4);
    (void)buf_printf(&raw,
                     "HTTP/1.1 %u Cut\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     status, p->gateway->out.len);
    (void)buf_append(&raw, buf_text(&p->gateway->out), p->gateway->out.len / 2);
    cut_connection(p, buf_text(&raw), raw.len);
    buf_free(&raw);
}

static void answer_garbage(struct payment *p)
{
    static const char html[] = "<html><body>{\"status\":\"succeeded\"</body></html>";
    const struct http_response response = {
        .status = 200, .content_type = "text/html", .body = html, .body_len = sizeof html - 1};
    http_respond(p->request, &response);
    end_payment(p);
}

static void answer(struct payment *p)
{
    struct gateway *g = p->gateway;
    struct record shown = p->record;
    if (p->fault == FAULT_WRONG_AMOUNT) {
        shown.intent.amount++;
        shown.refund.amount++;
    }
    buf_reset(&g->out);
    unsigned status = answer_record(&shown, ledger_salt(g->ledger), &g->out);
    if (p->fault == FAULT_CHARGE_THEN_RESET) {
        cut_connection(p, NULL, 0);
    } else if (p->fault == FAULT_CHARGE_THEN_NEVER) {
        go_silent(p);
    } else if (p->fault == FAULT_PARTIAL) {
        answer_partly(p, status);
    } else if (p->fault == FAULT_GARBAGE) {
        answer_garbage(p);
    } else {
        gateway_respond(p->request, status, &g->out, NULL);
        end_payment(p);
    }
}

static void answer_again(struct payment *p)
{
    static const struct http_header replayed = {"Idempotent-Replayed", "true"};
    struct gateway *g = p->gateway;
    struct record first;
    if (ledger_read(g->ledger, p->place, &first) < 0) {
        log_error("a record of the ledger cannot be read");
        p->record.key = NULL; /* it stays known */
        refuse(p, 500, NULL, NULL, "The ledger cannot be read; see the log.");
        return;
    }
    g->replays++;
    buf_reset(&g->out);
    unsigned status = answer_record(&first, ledger_salt(g->ledger), &g->out);
    record_free(&first);
    gateway_respond(p->request, status, &g->out, &replayed);
    end_payment(p);
}

/* ---- executing ---- */

static void execute(struct payment *p);

static void timer_due(void *arg)
{
    struct payment *p = arg;
    switch (p->state) {
    case PAYMENT_DELAYED:
        execute(p);
        return;
    case PAYMENT_HELD:
        answer(p);
        return;
    case PAYMENT_REPLAYED:
        answer_again(p);
        return;
    case PAYMENT_SILENT:
        cut_connection(p, NULL, 0);
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

static void tell_shop(const struct payment *p)
{
    enum record_kind kind = p->record.kind;
    if (kind == RECORD_CHARGE || kind == RECORD_CANCEL)
        webhooks_tell(p->gateway->webhooks, p->gateway->faults.webhooks, &p->record.intent,
                      ledger_salt(p->gateway->ledger));
}

static void durable(void *arg)
{
    struct payment *p = arg;
    store_settle(p->gateway->store, &p->record, p->place);
    if (p->gateway->faults.webhooks != WEBHOOKS_EARLY)
        tell_shop(p);
    delay(p, PAYMENT_HELD, p->delay_ms - p->delay_ms / 2);
}

static int append(struct payment *p)
{
    p->state = PAYMENT_RECORDING;
    p->wait.cb = durable;
    p->wait.arg = p;
    if (p->gateway->faults.webhooks == WEBHOOKS_EARLY)
        tell_shop(p);
    return ledger_append(p->gateway->ledger, &p->record, &p->wait, &p->place);
}

static void execute_refund(struct payment *p);

/* Executes a charge or a refund: takes its number and records it. */
static void execute(struct payment *p)
{
    struct gateway *g = p->gateway;
    if (g->draining) {
        refuse_unavailable(p);
        return;
    }
    p->record.error = p->fault == FAULT_500 || p->fault == FAULT_500_AFTER_CHARGE ? 500 : 0;
    p->record.kind = p->fault == FAULT_500 ? RECORD_FAILED : RECORD_CHARGE;
    if (p->record.kind == RECORD_FAILED) {
        if (append(p) < 0)
            refuse_unavailable(p);
        return;
    }
    if (p->refunding) {
        execute_refund(p);
        return;
    }
    if (store_add_intent(g->store, clock_wall_ms() / 1000, &p->record.intent) < 0) {
        refuse_unavailable(p);
        return;
    }
    if (append(p) < 0) {
        store_drop_intent(g->store);
        refuse_unavailable(p);
    }
}

/* ---- reading a request ---- */

/* Reads the form and looks the key up. True: go on; else it is answered, or will be. */
static bool begin(struct payment *p)
{
    struct gateway *g = p->gateway;
    size_t len;
    const char *body = http_request_body(p->request, &len);
    const char *key = http_request_header(p->request, "Idempotency-Key");
    buf_reset(&p->text);
    (void)buf_append(&p->text, body, len);
    if (p->text.failed || form_parse(p->text.data, len, &p->form) < 0) {
        refuse(p, 400, NULL, NULL, "The body is no form, or has too many fields.");
        return false;
    }
    if (key != NULL && (key[0] == '\0' || strlen(key) > KEY_MAX)) {
        refuse(p, 400, NULL, NULL, "An Idempotency-Key has 1 to 255 characters.");
        return false;
    }
    if (key == NULL)
        return true;
    enum store_key_state state;
    p->record.fingerprint = form_fingerprint(&p->form, http_request_path(p->request));
    if (store_use_key(g->store, key, p->record.fingerprint, &state, &p->place) < 0) {
        refuse_unavailable(p);
        return false;
    }
    if (state == STORE_KEY_NEW) {
        p->record.key = key;
        return true;
    }
    const struct answer_error busy = {
        409, "idempotency_error", "idempotency_key_in_use", NULL,
        "Another request with this Idempotency-Key is being executed; try again."};
    const struct answer_error other = {
        400, "idempotency_error", NULL, NULL,
        "Keys for idempotent requests can only be used with the same parameters they were first "
        "used with."};
    if (state == STORE_KEY_KNOWN)
        delay(p, PAYMENT_REPLAYED, p->delay_ms);
    else
        refuse_showing(p, state == STORE_KEY_BUSY ? &busy : &other, NULL);
    return false;
}

/* ---- charging ---- */

/* The faults after which nothing is executed. */
static void fail_before(struct payment *p)
{
    const char *key = p->record.key;
    if (p->fault == FAULT_429) {
        refuse(p, 429, "rate_limit", NULL, "Too many requests hit the API too quickly.");
    } else if (p->fault == FAULT_409) {
        refuse(p, 409, "lock_timeout", NULL, "Another request holds this object; try again.");
    } else {
        if (key != NULL)
            store_drop_key(p->gateway->store, key);
        p->record.key = NULL;
        if (p->fault == FAULT_RESET)
            cut_connection(p, NULL, 0);
        else
            go_silent(p);
    }
}

/* Executes it now, or as late and as wrong as the faults want it. */
static void meet_fault(struct payment *p)
{
    if (!fault_charges(p->fault)) {
        fail_before(p);
        return;
    }
    if (p->fault == FAULT_SLOW)
        p->delay_ms += p->gateway->faults.slow_ms;
    delay(p, PAYMENT_DELAYED, p->delay_ms / 2);
}

static enum fault pick_fault(struct gateway *g, const struct card *card, unsigned asked_before)
{
    enum fault fault = faults_pick(&g->faults);
    return fault == FAULT_NONE && asked_before == 0 ? card->fault : fault;
}

/* The pages of banks are served here, too: where the request came to. */
static void name_bank(struct payment *p)
{
    const char *host = http_request_header(p->request, "Host");
    buf_reset(&p->bank);
    if (p->record.intent.return_url == NULL || host == NULL || strpbrk(host, "\"\\ <>&'") != NULL)
        return;
    (void)buf_printf(&p->bank, "%s://%s/3ds/", p->gateway->tls ? "https" : "http", host);
    p->record.intent.bank = buf_text(&p->bank);
}

void payment_charge(struct gateway *gateway, struct http_request *request)
{
    struct payment *p = take_payment(gateway, request);
    struct card card;
    if (p == NULL)
        return;
    gateway->requests++;
    p->delay_ms = faults_delay_ms(&gateway->faults);
    if (!begin(p))
        return;
    struct answer_error error;
    if (request_charge(&p->form, &p->metadata, &p->record.intent, &card, &error) < 0) {
        refuse_showing(p, &error, NULL);
        return;
    }
    name_bank(p);
    const char *order = form_get(&p->form, "metadata[order_id]");
    unsigned asked_before = order == NULL ? 0 : store_ask(gateway->store, order);
    p->fault = pick_fault(gateway, &card, asked_before);
    meet_fault(p);
}

/* ---- cancelling and refunding ---- */

/* Reads the intent's last record into p->base, and what it says into p->record. */
static struct store_intent *read_base(struct payment *p, const char *id, const char *param,
                                      unsigned missing_status)
{
    struct gateway *g = p->gateway;
    uint64_t number;
    struct store_intent *intent = NULL;
    if (record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL) {
        refuse(p, missing_status, "resource_missing", param, "No such payment_intent.");
        return NULL;
    }
    if (intent->busy) {
        refuse_busy(p);
        return NULL;
    }
    if (ledger_read(g->ledger, intent->place, &p->base) < 0) {
        log_error("a record of the ledger cannot be read");
        refuse(p, 500, NULL, NULL, "The ledger cannot be read; see the log.");
        return NULL;
    }
    p->record.intent = p->base.intent;
    return intent;
}

void payment_cancel(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = take_payment(gateway, request);
    if (p == NULL || !begin(p))
        return;
    struct answer_error error;
    if (request_cancel(&p->form, &error) < 0) {
        refuse_showing(p, &error, NULL);
        return;
    }
    struct store_intent *intent = read_base(p, id, "intent", 404);
    if (intent == NULL)
        return;
    enum intent_status status = p->record.intent.status;
    if (status == INTENT_SUCCEEDED || status == INTENT_CANCELED) {
        const struct answer_error ended = {
            400, "invalid_request_error", "payment_intent_unexpected_state", NULL,
            "You cannot cancel this PaymentIntent because of its status."};
        refuse_showing(p, &ended, &p->base.intent);
        return;
    }
    p->record.kind = RECORD_CANCEL;
    p->record.intent.status = INTENT_CANCELED;
    if (append(p) < 0)
        refuse_unavailable(p);
    else
        intent->busy = true;
}

void payment_authenticate(struct gateway *gateway, struct http_request *request, const char *id)
{
    struct payment *p = take_payment(gateway, request);
    if (p == NULL || !begin(p))
        return;
    const char *outcome = form_get(&p->form, "outcome");
    bool approves = outcome != NULL && strcmp(outcome, "approve") == 0;
    if (!approves && (outcome == NULL || strcmp(outcome, "decline") != 0)) {
        refuse(p, 400, "parameter_missing", "outcome", "It is approve or decline.");
        return;
    }
    struct store_intent *intent = read_base(p, id, "intent", 404);
    if (intent == NULL)
        return;
    if (p->record.intent.status != INTENT_REQUIRES_ACTION) {
        refuse(p, 400, "payment_intent_unexpected_state", NULL, "There is nothing to approve.");
        return;
    }
    p->record.kind = RECORD_CANCEL;
    p->record.intent.status = approves ? INTENT_SUCCEEDED : INTENT_REQUIRES_PAYMENT_METHOD;
    if (append(p) < 0)
        refuse_unavailable(p);
    else
        intent->busy = true;
}

/* Gives the refund its number and records it. */
static void record_refund(struct payment *p, struct store_intent *intent)
{
    struct gateway *g = p->gateway;
    struct refund *refund = &p->record.refund;
    p->record.kind = RECORD_REFUND;
    p->record.intent.refunded += refund->amount;
    refund->created = clock_wall_ms() / 1000;
    if (store_add_refund(g->store, &refund->number) < 0) {
        refuse_unavailable(p);
        return;
    }
    if (append(p) < 0) {
        store_drop_refund(g->store);
        refuse_unavailable(p);
        return;
    }
    intent->busy = true;
}

static void execute_refund(struct payment *p)
{
    const char *id = form_get(&p->form, "payment_intent");
    struct store_intent *intent = read_base(p, id, "payment_intent", 400);
    if (intent == NULL)
        return;
    struct answer_error error;
    if (request_refund(&p->form, &p->record.intent, &p->metadata, &p->record.refund, &error) < 0)
        refuse_showing(p, &error, NULL);
    else
        record_refund(p, intent);
}

void payment_refund(struct gateway *gateway, struct http_request *request)
{
    struct payment *p = take_payment(gateway, request);
    if (p == NULL)
        return;
    p->delay_ms = faults_delay_ms(&gateway->faults);
    if (!begin(p))
        return;
    if (form_get(&p->form, "payment_intent") == NULL) {
        refuse(p, 400, "parameter_missing", "payment_intent", "Missing required param.");
        return;
    }
    p->refunding = true;
    p->fault = faults_pick(&gateway->faults);
    meet_fault(p);
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
    tell_drained(gateway);
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
