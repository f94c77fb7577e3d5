/* How payments are answered: with their record, with an error, wrongly, or not at all. */
#include "deploy/sandbox/payment_impl.h"

#include "common/base/log.h"

#define RAW_MAX ((size_t)32 * 1024)
#define NEVER_MS 600000 /* an answer that never comes: its connection is given up then */

/* ---- refusing ---- */

void payment_refuse_unkept(struct payment *p, const struct answer_error *error,
                           const struct intent *shown)
{
    if (p->record.key != NULL)
        store_drop_key(p->gateway->store, p->record.key);
    gateway_refuse(p->gateway, p->request, error, shown, false);
    payment_end(p);
}

void payment_refuse_kept(struct payment *p, const struct answer_error *error,
                         const struct intent *shown)
{
    struct record kept = {.kind = RECORD_FAILED,
                          .key = p->record.key,
                          .fingerprint = p->record.fingerprint,
                          .used = p->record.used,
                          .shown = shown != NULL,
                          .method = p->record.method,
                          .failure = *error};
    if (shown != NULL)
        kept.intent = *shown;
    p->record = kept;
    if (payment_append(p) < 0)
        payment_refuse_unavailable(p);
}

static void refuse(struct payment *p, const struct answer_error *error, const struct intent *shown,
                   double chance)
{
    unsigned status = error->status;
    bool begun = status < 500 && status != 401 && status != 403 && status != 409 && status != 429;
    bool keeps = p->record.key != NULL && begun && faults_roll(&p->gateway->faults, chance);
    if (keeps)
        payment_refuse_kept(p, error, shown);
    else
        payment_refuse_unkept(p, error, shown);
}

void payment_refuse_form(struct payment *p, const struct answer_error *error)
{
    refuse(p, error, NULL, p->gateway->faults.settings.keep_invalid);
}

void payment_refuse(struct payment *p, const struct answer_error *error, const struct intent *shown)
{
    refuse(p, error, shown, p->gateway->faults.settings.keep_refused);
}

void payment_refuse_because(struct payment *p, unsigned status, const char *code, const char *param,
                            const char *message)
{
    const struct answer_error error = {.status = status,
                                       .type = "invalid_request_error",
                                       .code = code,
                                       .param = param,
                                       .message = message};
    payment_refuse(p, &error, NULL);
}

void payment_refuse_busy(struct payment *p)
{
    static const struct answer_error busy = {
        .status = 429,
        .type = "invalid_request_error",
        .code = "lock_timeout",
        .message = "Another request is changing this object; try again in a moment."};
    payment_refuse_unkept(p, &busy, NULL);
}

void payment_refuse_unavailable(struct payment *p)
{
    static const struct answer_error unavailable = {
        .status = 503,
        .type = "api_error",
        .message = "The gateway is leaving, or out of memory; try again."};
    payment_refuse_unkept(p, &unavailable, NULL);
}

void payment_refuse_unreadable(struct payment *p)
{
    static const struct answer_error unreadable = {
        .status = 500, .type = "api_error", .message = "The ledger cannot be read; see the log."};
    log_error("record of the ledger not read");
    payment_refuse_unkept(p, &unreadable, NULL);
}

/* ---- answering ---- */

void payment_go_silent(struct payment *p)
{
    p->state = PAYMENT_SILENT;
    loop_timer_start(p->timer, NEVER_MS, 0);
}

void payment_cut(struct payment *p, const char *raw, size_t len)
{
    http_abort(p->request, raw, len);
    payment_end(p);
}

/* The head promises all of the body; half of it follows. */
static void answer_partly(struct payment *p, unsigned status)
{
    struct buf raw;
    buf_init(&raw, RAW_MAX);
    (void)buf_printf(&raw,
                     "HTTP/1.1 %u Cut\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     status, p->gateway->out.len);
    (void)buf_append(&raw, buf_text(&p->gateway->out), p->gateway->out.len / 2);
    payment_cut(p, buf_text(&raw), raw.len);
    buf_free(&raw);
}

static void answer_garbage(struct payment *p)
{
    static const char html[] = "<html><body>{\"status\":\"succeeded\"</body></html>";
    const struct http_response response = {
        .status = 200, .content_type = "text/html", .body = html, .body_len = sizeof html - 1};
    http_respond(p->request, &response);
    payment_end(p);
}

/* What Stripe's clients are advised about an answer that is kept; NULL: nothing. */
static const struct http_header *advise(unsigned status)
{
    static const struct http_header never = {"Stripe-Should-Retry", "false"};
    return status >= 400 ? &never : NULL;
}

void payment_answer(struct payment *p)
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
        payment_cut(p, NULL, 0);
    } else if (p->fault == FAULT_CHARGE_THEN_NEVER) {
        payment_go_silent(p);
    } else if (p->fault == FAULT_PARTIAL) {
        answer_partly(p, status);
    } else if (p->fault == FAULT_GARBAGE) {
        answer_garbage(p);
    } else {
        gateway_respond(g, p->request, status, &g->out, advise(status));
        payment_end(p);
    }
}

void payment_answer_again(struct payment *p)
{
    static const struct http_header replayed = {"Idempotent-Replayed", "true"};
    struct gateway *g = p->gateway;
    struct record first;
    if (ledger_read(g->ledger, p->place, &first) < 0) {
        p->record.key = NULL; /* it stays known */
        payment_refuse_unreadable(p);
        return;
    }
    g->replays++;
    buf_reset(&g->out);
    unsigned status = answer_record(&first, ledger_salt(g->ledger), &g->out);
    record_free(&first);
    gateway_respond(g, p->request, status, &g->out, &replayed);
    payment_end(p);
}
