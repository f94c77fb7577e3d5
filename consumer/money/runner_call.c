/* The calls of payments, and what their answers tell of them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"
#include "consumer/money/runner_impl.h"

#define REFUSED_US_WAIT_MS 1000
/* ---- answers ---- */

static void remember(struct payment *p, const struct pay_answer *answer)
{
    bool refused_now = p->memory.refused_now && answer->outcome == PAY_NOT_FOUND;
    if (!refused_now) /* else why it was refused tells more */
        memcpy(p->code, answer->code, sizeof p->code);
    memcpy(p->param, answer->param, sizeof p->param);
    p->problem = answer->problem;
    p->received = answer->received;
    p->retry_after_ms = answer->retry_after_s * 1000;
    bool refused = answer->outcome == PAY_UNAUTHORIZED || answer->outcome == PAY_FORBIDDEN;
    if (refused && p->retry_after_ms < REFUSED_US_WAIT_MS)
        p->retry_after_ms = REFUSED_US_WAIT_MS;
    if (!p->refund && answer->intent_id[0] != '\0')
        memcpy(p->intent_id, answer->intent_id, sizeof p->intent_id);
}

/* What a person said, or a webhook hinted at, while it was called; a cancel has heard its word. */
static void step_after(struct payment *p, enum attempt_verb called)
{
    bool waits = p->attempt.state == ATTEMPT_WAIT_RETRY || p->attempt.state == ATTEMPT_WAIT_BUYER;
    bool heard = called == ATTEMPT_CANCEL && p->word != TASK_RELEASE;
    if (p->word != TASK_UNRESOLVED && p->attempt.state != ATTEMPT_RECONCILE && !heard) {
        runner_step_word(p);
        return;
    }
    if (p->hinted && waits) {
        p->hinted = false;
        backoff_reset(&p->backoff);
        runner_step(p, ATTEMPT_ON_HINT);
    }
}

static void count_answer(struct payment *p, const struct pay_answer *answer)
{
    struct runner *runner = p->runner;
    struct stats *stats = runner->o.stats;
    runner->calling[p->shard]--;
    reconcile_heard_date(runner->reconcile, answer->date_s);
    if (p->refund) {
        stats_refund(stats, pay_outcome_text(answer->outcome));
        return;
    }
    stats_payment(stats, pay_outcome_text(answer->outcome));
    metric_observe(stats->payment_seconds, (double)(clock_mono_us() - p->call.called_us) / 1e6);
}

static void tell_gateway(struct payment *p, const struct pay_answer *answer, bool kept)
{
    const char *method = p->payment_method == NULL ? "" : p->payment_method;
    const struct circuit_breaker_refusal who = {.customer = p->customer,
                                                .method = strmap_hash(method, strlen(method))};
    gateway_answered(p->runner->gateway, &p->call, answer,
                     p->attempt.verb == ATTEMPT_CHARGE ? &who : NULL, kept);
}

static void failpoint_answered(enum attempt_verb verb)
{
    switch (verb) {
    case ATTEMPT_CHARGE:
        FAILPOINT(PAY_ANSWERED);
        return;
    case ATTEMPT_GET:
        FAILPOINT(ACTION_LOOKED);
        return;
    case ATTEMPT_CANCEL:
        FAILPOINT(CANCEL_ANSWERED);
        return;
    case ATTEMPT_REFUND:
    case ATTEMPT_FIND_REFUND:
        FAILPOINT(REFUND_ANSWERED);
        return;
    case ATTEMPT_VERBS:
        return;
    }
}

static bool ends(const struct payment *p, enum attempt_event event)
{
    return attempt_next(p->attempt.state, p->attempt.verb, event).state == ATTEMPT_ENDED;
}

static void answered(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct runner *runner = p->runner;
    const struct runner_options *o = &runner->o;
    failpoint_answered(p->attempt.verb);
    count_answer(p, answer);
    enum attempt_event event =
        attempt_memory_answer(&p->memory, p->attempt.verb, answer, p->number, p->word, o->limit_ms,
                              (int64_t)clock_mono_ms());
    tell_gateway(p, answer, event == ATTEMPT_ON_KEPT);
    remember(p, answer);
    if (p->orphaned)
        event = ATTEMPT_ON_ORPHANED;
    bool gone = ends(p, event);
    enum attempt_verb called = p->attempt.verb;
    runner->answer = answer;
    runner_step(p, event);
    runner->answer = NULL;
    if (!gone)
        step_after(p, called);
    if (event == ATTEMPT_ON_UNCLEAR)
        FAILPOINT(PAY_UNKNOWN);
    gateway_pump(runner->gateway); /* a place at the gateway is free */
}

/* ---- calls ---- */

static int call(struct payment *p)
{
    struct pay *pay = p->runner->o.pay;
    char key[RUNNER_KEY_SIZE];
    memcpy(key, p->key, sizeof key);
    SEEDED_BUG(FRESH_KEY, (void)snprintf(key, sizeof key, "%s-%" PRIx32, p->order_id,
                                         (uint32_t)clock_mono_us()));
    const struct pay_charge charge = {.order_id = p->order_id,
                                      .shard = p->shard,
                                      .amount = p->amount,
                                      .currency = p->currency,
                                      .payment_method = p->payment_method,
                                      .idempotency_key = key,
                                      .receipt_email = p->receipt_email,
                                      .gateway_customer = p->gateway_customer,
                                      .sku = p->sku,
                                      .quantity = p->quantity,
                                      .reference = p->reference,
                                      .customer = p->customer_text,
                                      .traceparent = p->traceparent};
    const struct pay_refund refund = {.order_id = p->order_id,
                                      .amount = p->amount,
                                      .currency = p->currency,
                                      .intent_id = p->intent_id,
                                      .idempotency_key = p->key,
                                      .traceparent = p->traceparent};
    switch (p->attempt.verb) {
    case ATTEMPT_CHARGE:
        return pay_charge(pay, &charge, answered, p);
    case ATTEMPT_GET:
        return pay_get(pay, &charge, p->intent_id, answered, p);
    case ATTEMPT_CANCEL:
        return pay_cancel(pay, &charge, p->intent_id, answered, p);
    case ATTEMPT_REFUND:
        return pay_refund(pay, &refund, answered, p);
    case ATTEMPT_FIND_REFUND:
        return pay_find_refund(pay, &refund, answered, p);
    case ATTEMPT_VERBS:
        break;
    }
    return ERR_INVALID;
}

static void failpoint_sent(enum attempt_verb verb)
{
    if (verb == ATTEMPT_CHARGE || verb == ATTEMPT_GET)
        FAILPOINT_SOON(PAY_SENT);
    else if (verb == ATTEMPT_CANCEL)
        FAILPOINT_SOON(CANCEL_SENT);
    else
        FAILPOINT_SOON(REFUND_CALL_SENT);
}

static void sent(struct payment *p)
{
    struct runner *runner = p->runner;
    failpoint_sent(p->attempt.verb);
    gateway_called(runner->gateway, &p->call);
    attempt_memory_sent(&p->memory, p->attempt.verb, (int64_t)(p->call.called_us / 1000));
    runner->calling[p->shard]++;
    runner_step(p, ATTEMPT_ON_SENT);
}

static bool key_old(const struct payment *p)
{
    bool under_key = p->attempt.verb == ATTEMPT_CHARGE || p->attempt.verb == ATTEMPT_REFUND;
    return under_key && (int64_t)clock_mono_ms() - p->born_ms >= (int64_t)p->runner->o.key_age_ms;
}

bool runner_ready(struct gateway_call *queued, void *arg)
{
    const struct runner *runner = arg;
    struct payment *p = (struct payment *)queued;
    if (runner->held[p->shard]) {
        runner_step(p, ATTEMPT_ON_SHARD_LOST);
        return false;
    }
    if (key_old(p)) {
        (void)snprintf(p->code, sizeof p->code, "key_too_old");
        runner_step(p, ATTEMPT_ON_KEY_OLD);
        return false;
    }
    return true;
}

int runner_make_call(struct gateway_call *queued, void *arg)
{
    (void)arg;
    struct payment *p = (struct payment *)queued;
    int code = call(p);
    if (code == 0) {
        sent(p);
    } else if (code == ERR_INVALID) {
        log_error("request cannot be made; the payment attempt ends", LOG_PAYMENT(p),
                  LOG_STR("call", attempt_verb_text(p->attempt.verb)));
        (void)snprintf(p->code, sizeof p->code, "request_invalid");
        runner_step(p, ATTEMPT_ON_SEND_INVALID);
    }
    return code;
}
