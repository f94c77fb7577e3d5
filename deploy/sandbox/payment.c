#include "deploy/sandbox/payment_impl.h"

#include <string.h>

#include "common/base/clock.h"

#define KEY_MAX 255

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
    payment_delay(p, PAYMENT_DELAYED, p->delay_ms / 2);
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
        payment_delay(p, PAYMENT_REPLAYED, p->delay_ms);
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
    struct payment *p = payment_take(gateway, request, timer_due);
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

static bool waits_for_latency(const struct payment *p)
{
    return p->state == PAYMENT_DELAYED || p->state == PAYMENT_HELD || p->state == PAYMENT_REPLAYED;
}

/* What waits goes on now: all of it, or what latency alone holds back. */
static void go_on_now(struct gateway *gateway, bool all)
{
    struct payment *next;
    for (struct payment *p = TAILQ_FIRST(&gateway->open); p != NULL; p = next) {
        next = TAILQ_NEXT(p, link);
        if (!all && !waits_for_latency(p))
            continue;
        p->delay_ms = 0;
        loop_timer_stop(p->timer);
        timer_due(p);
    }
}

void payment_hurry(struct gateway *gateway)
{
    go_on_now(gateway, false);
}

void payment_drain(struct gateway *gateway)
{
    go_on_now(gateway, true);
    gateway_tell_drained(gateway);
}
