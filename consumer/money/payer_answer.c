#include "consumer/money/payer_impl.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/testing/failpoint.h"

#define REFUSED_RETRY_MS 1000
#define NOTE_AFTER_MS 5000  /* so long without an end: tell it in the table, ... */
#define NOTE_AGAIN_MS 60000 /* ... and so often */

void payer_end(struct payment *p, const char *state, const char *intent, const char *code)
{
    const struct payer_options *o = &p->payer->o;
    o->ended(p->shard, p->order_id, p->attempt, state, intent, code, o->arg);
    payer_forget(p);
}

static void end(struct payment *p, const char *state, const struct pay_answer *answer)
{
    payer_end(p, state, answer->intent_id[0] != '\0' ? answer->intent_id : p->intent_id,
              answer->code);
}

bool payer_resolved(struct payment *p)
{
    if (p->resolution == RESOLVED_NOT)
        return false;
    if (p->resolution == RESOLVED_CAPTURED) {
        payer_end(p, "captured", p->intent_id, "resolved");
    } else { /* what may still succeed is found, and cancelled */
        p->cancelling = false;
        payer_look_up(p, "resolved");
    }
    return true;
}

void payer_note(struct payment *p, const char *code)
{
    const struct payer_options *o = &p->payer->o;
    uint64_t now_ms = clock_mono_ms();
    bool same = strncmp(p->noted, code, sizeof p->noted) == 0;
    if (p->noted_ms != 0 && same && now_ms - p->noted_ms < NOTE_AGAIN_MS)
        return;
    (void)snprintf(p->noted, sizeof p->noted, "%s", code);
    p->noted_ms = now_ms;
    o->ended(p->shard, p->order_id, p->attempt, "unclear", "", code, o->arg);
}

/* So long without an end that an operator may want to know. */
static void note_if_late(struct payment *p, const char *code)
{
    if (clock_mono_ms() - p->born_ms >= NOTE_AFTER_MS)
        payer_note(p, code);
}

/* Nobody is rejected for it. */
static void refused(struct payment *p, const struct pay_answer *answer)
{
    log_warning("the gateway refuses a payment for no fault of its buyer; it waits",
                LOG_STR("order_id", p->order_id), LOG_INT("http_status", answer->http_status),
                LOG_STR("code", answer->code));
    if (payer_resolved(p))
        return;
    note_if_late(p, answer->code);
    payer_retry_later(p, REFUSED_RETRY_MS);
}

/* The gateway keeps an error of its own as the result of the key: the same one twice is kept, and
 * what was executed has ended. Some say so themselves. An error that a proxy makes says nothing. */
static bool is_stored(const struct payment *p, const struct pay_answer *answer)
{
    bool error = answer->of_the_api && answer->http_status >= 500 && !p->cancelling;
    return error && (answer->replayed || answer->http_status == p->stored_error);
}

static void unknown(struct payment *p, const struct pay_answer *answer)
{
    if (payer_resolved(p))
        return;
    if (is_stored(p, answer)) {
        payer_look_up(p, answer->code);
        return;
    }
    p->stored_error = answer->of_the_api ? answer->http_status : 0;
    note_if_late(p, answer->code);
    log_warning("a payment's outcome is unknown; asking again with the same key",
                LOG_STR("order_id", p->order_id), LOG_INT("http_status", answer->http_status),
                LOG_STR("code", answer->code));
    payer_retry_later(p, answer->retry_after_s * 1000);
    FAILPOINT(PAY_UNKNOWN);
}

static void dispatch(struct payment *p, const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_SUCCEEDED:
        end(p, "captured", answer);
        return;
    case PAY_DECLINED:
        end(p, "declined", answer);
        return;
    case PAY_BAD_INPUT:
        end(p, "failed", answer);
        return;
    case PAY_REQUIRES_ACTION:
        payer_ask_buyer(p, answer);
        return;
    case PAY_UNKNOWN:
        unknown(p, answer);
        return;
    case PAY_MISCONFIGURED:
        refused(p, answer);
        return;
    }
}

/* ---- the gate ---- */

static enum circuit_breaker_news news_of(const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_SUCCEEDED:
    case PAY_DECLINED:
    case PAY_BAD_INPUT:
    case PAY_REQUIRES_ACTION:
        return CIRCUIT_BREAKER_DEFINITE;
    case PAY_UNKNOWN:
        return CIRCUIT_BREAKER_FAILED;
    case PAY_MISCONFIGURED:
        return answer->http_status == 401 || answer->http_status == 403
                   ? CIRCUIT_BREAKER_REFUSED_US
                   : CIRCUIT_BREAKER_REFUSED_REQUEST;
    }
    return CIRCUIT_BREAKER_FAILED;
}

static void tell_gate(struct payer *payer, const struct pay_answer *answer)
{
    const struct stats *stats = payer->o.stats;
    enum circuit_breaker_state state = payer->gate.state;
    metric_set(stats->payments_stopped, state != CIRCUIT_BREAKER_OPEN);
    metric_set(stats->payments_misconfigured, state == CIRCUIT_BREAKER_MISCONFIGURED);
    if (state == CIRCUIT_BREAKER_MISCONFIGURED)
        log_error("payments are stopped: the gateway refuses our key or our requests; check "
                  "CHECKOUT_GATEWAY_*; orders wait, nobody is rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else if (state == CIRCUIT_BREAKER_FAILING)
        log_error("payments are stopped: the gateway fails mostly; orders wait, nobody is rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else
        log_info("payments go on: the gateway serves us again");
    payer->o.stopped(circuit_breaker_text(&payer->gate), payer->o.arg);
}

static void pass_gate(struct payer *payer, const struct pay_answer *answer,
                      enum circuit_breaker_news news, bool probe)
{
    enum circuit_breaker_state before = payer->gate.state;
    circuit_breaker_answer(&payer->gate, news, probe, clock_mono_ms());
    if (payer->gate.state != before)
        tell_gate(payer, answer);
}

void circuit_breaker_answered(struct payer *payer, const struct pay_answer *answer, bool old,
                              bool definite, bool probe)
{
    enum circuit_breaker_news news = definite ? CIRCUIT_BREAKER_DEFINITE : news_of(answer);
    pass_gate(payer, answer, old ? CIRCUIT_BREAKER_OLD : news, probe);
    payer_pump(payer); /* a place at the gateway is free */
}

bool payer_back(struct payment *p, const struct pay_answer *answer)
{
    struct payer *payer = p->payer;
    payer->calling[p->shard]--;
    payer_queue_done(payer->queue, &p->entry);
    stats_payment(payer->o.stats, pay_outcome_text(answer->outcome));
    metric_observe(payer->o.stats->payment_seconds, (double)(clock_mono_us() - p->called_us) / 1e6);
    pass_gate(payer, answer, is_stored(p, answer) ? CIRCUIT_BREAKER_OLD : news_of(answer),
              p->probe);
    p->probe = false;
    if (!p->orphaned)
        return true;
    payer_forget(p);
    return false;
}

void payer_cancelled(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct payer *payer = p->payer;
    FAILPOINT(CANCEL_ANSWERED);
    if (payer_back(p, answer)) {
        struct pay_answer declined = *answer;
        if (answer->outcome == PAY_DECLINED && p->found == FOUND_NONE)
            (void)snprintf(declined.code, sizeof declined.code, "authentication_required");
        dispatch(p, &declined);
    }
    payer_pump(payer);
}

void payer_charged(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct payer *payer = p->payer;
    FAILPOINT(PAY_ANSWERED);
    if (payer_back(p, answer))
        dispatch(p, answer);
    payer_pump(payer);
}
