/* Calls at the gateway: whose turn it is, what the answer tells of the gateway, and of the payment.
 */
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

#define PUMP_AGAIN_MS 100
#define SLOW_MS 1000 /* a call that takes longer keeps no other one waiting */
#define REFUSED_US_WAIT_MS 1000
#define REFUND_CALLS_MAX 16 /* at once, so that charges have their places */
#define LOOKS_SHARE 5       /* looks at waiting payments take one call of so many */

/* ---- what an answer tells of the gateway ---- */

static void tell_stopped(struct runner *runner, const struct pay_answer *answer)
{
    const struct stats *stats = runner->o.stats;
    const char *why = runner->stopped[0] == '\0' ? NULL : runner->stopped;
    bool misconfigured = runner->breaker.state == CIRCUIT_BREAKER_MISCONFIGURED;
    metric_set(stats->payments_stopped, why != NULL);
    metric_set(stats->payments_misconfigured, misconfigured);
    if (misconfigured && answer->http_status != 401 && answer->http_status != 403)
        log_error(
            "payments are stopped: gateway refuses orders of different customers alike; sending "
            "one at a time; check items and CHECKOUT_GATEWAY_*",
            LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code),
            LOG_STR("param", answer->param));
    else if (misconfigured)
        log_error("payments are stopped: gateway refuses our key; check CHECKOUT_GATEWAY_*; orders "
                  "wait and are not rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else if (why != NULL)
        log_error("payments are stopped: gateway fails mostly; orders wait and are not rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else
        log_info("payments go on: gateway serves us again");
    runner->o.stopped(why, runner->o.arg);
}

/* "failing: connection_refused". Returns whether that is another text than it was. */
static bool name_stop(struct runner *runner, const struct pay_answer *answer)
{
    char text[RUNNER_STOPPED_SIZE] = "";
    const char *word = circuit_breaker_text(&runner->breaker);
    if (word != NULL)
        (void)snprintf(text, sizeof text, "%s: %s", word,
                       answer->code[0] == '\0' ? pay_outcome_text(answer->outcome) : answer->code);
    if (strcmp(text, runner->stopped) == 0)
        return false;
    memcpy(runner->stopped, text, sizeof text);
    return true;
}

static enum circuit_breaker_news news_of_charge(const struct payment *p,
                                                const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_REFUSED:
        if (p->attempt.verb != ATTEMPT_CHARGE)
            return CIRCUIT_BREAKER_NOTHING;
        return answer->replayed ? CIRCUIT_BREAKER_OLD : CIRCUIT_BREAKER_REFUSED_ORDER;
    case PAY_UNAUTHORIZED:
    case PAY_FORBIDDEN:
        return answer->replayed ? CIRCUIT_BREAKER_OLD : CIRCUIT_BREAKER_REFUSED_US;
    case PAY_KEY_USED:
        return CIRCUIT_BREAKER_OLD;
    case PAY_BUSY:
        return CIRCUIT_BREAKER_NOTHING;
    case PAY_ERROR:
    case PAY_UNKNOWN:
        return CIRCUIT_BREAKER_FAILED;
    case PAY_SUCCEEDED:
    case PAY_DECLINED:
    case PAY_CANCELLED:
    case PAY_ACTION:
    case PAY_PENDING:
    case PAY_OTHER_SUM:
    case PAY_REFUSED_NOW:
    case PAY_FAILED:
    case PAY_ALREADY:
    case PAY_NOT_FOUND:
    case PAY_OUTCOMES:
        break;
    }
    return CIRCUIT_BREAKER_DEFINITE;
}

/* Nothing that a refund is answered stops charges. As a probe it shows that the gateway answers,
 * but not that it would charge an order. */
static enum circuit_breaker_news news_of_refund(const struct runner *runner,
                                                const struct pay_answer *answer)
{
    bool answers = answer->outcome != PAY_UNAUTHORIZED && answer->outcome != PAY_FORBIDDEN &&
                   answer->outcome != PAY_BUSY && answer->outcome != PAY_ERROR &&
                   answer->outcome != PAY_UNKNOWN;
    bool orders_refused = runner->breaker.refused == CIRCUIT_BREAKER_ALIKE;
    return answers && !orders_refused && runner->breaker.state != CIRCUIT_BREAKER_OPEN
               ? CIRCUIT_BREAKER_DEFINITE
               : CIRCUIT_BREAKER_NOTHING;
}

static uint64_t hash_of(const char *text)
{
    return strmap_hash(text, strlen(text));
}

static void tell_breaker(struct payment *p, const struct pay_answer *answer, bool kept)
{
    struct runner *runner = p->runner;
    uint64_t now_ms = clock_mono_ms();
    const char *before = circuit_breaker_text(&runner->breaker);
    const struct circuit_breaker_refusal refusal = {
        .customer = p->customer,
        .method = p->payment_method == NULL ? 0 : hash_of(p->payment_method),
        .how = hash_of(answer->code) * 31 + hash_of(answer->param) * 37 + answer->http_status};
    enum circuit_breaker_news news =
        p->refund ? news_of_refund(runner, answer) : news_of_charge(p, answer);
    if (p->refund && answer->outcome == PAY_UNAUTHORIZED)
        circuit_breaker_suspect(&runner->breaker, now_ms);
    circuit_breaker_answer(&runner->breaker, kept ? CIRCUIT_BREAKER_OLD : news, &refusal, p->probe,
                           now_ms);
    bool changed = before != circuit_breaker_text(&runner->breaker);
    bool probed =
        p->probe && !kept && news != CIRCUIT_BREAKER_NOTHING && news != CIRCUIT_BREAKER_OLD;
    p->probe = false;
    if ((changed || (probed && before != NULL)) && name_stop(runner, answer))
        tell_stopped(runner, answer);
}

/* Calls that count: a payment that its bank takes long over delays no other one, and says nothing
 * about how many a second the gateway takes. */
static size_t in_window(const struct runner *runner)
{
    return pay_inflight(runner->o.pay) - runner->slow;
}

static void tell_window(struct runner *runner, const struct payment *p,
                        const struct pay_answer *answer)
{
    bool before = runner->window.limited;
    size_t inflight = in_window(runner) + 1; /* with this one */
    if (answer->outcome == PAY_BUSY)
        window_refused(&runner->window, p->called_us / 1000, clock_mono_ms());
    else
        window_served(&runner->window, inflight, clock_mono_ms());
    if (runner->window.limited && !before)
        log_warning("gateway refuses many calls as too many; making fewer a second",
                    LOG_INT("a_second", runner->window.size));
    else if (before && !runner->window.limited)
        log_info("gateway has not refused many calls for a minute; no limit is kept to");
}

/* ---- answers ---- */

static void remember(struct payment *p, const struct pay_answer *answer)
{
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

/* What a person said, or a webhook hinted at, while it was called. */
static void step_after(struct payment *p)
{
    bool waits = p->attempt.state == ATTEMPT_WAIT_RETRY || p->attempt.state == ATTEMPT_WAIT_BUYER;
    if (p->word != TASK_UNRESOLVED && p->attempt.state != ATTEMPT_RECONCILE) {
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
    runner->calling[p->shard]--;
    runner->inflight[p->lane]--;
    if (runner->young == p)
        runner->young = TAILQ_NEXT(p, calls);
    TAILQ_REMOVE(&runner->calls, p, calls);
    runner->slow -= p->slow ? 1 : 0;
    p->slow = false;
    fair_queue_done(runner->queues[p->lane], &p->entry);
    reconcile_heard_date(runner->reconcile, answer->date_s);
    if (p->refund) {
        stats_refund(runner->o.stats, pay_outcome_text(answer->outcome));
        return;
    }
    stats_payment(runner->o.stats, pay_outcome_text(answer->outcome));
    metric_observe(runner->o.stats->payment_seconds,
                   (double)(clock_mono_us() - p->called_us) / 1e6);
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
    tell_window(runner, p, answer);
    tell_breaker(p, answer, event == ATTEMPT_ON_KEPT);
    remember(p, answer);
    if (p->orphaned)
        event = ATTEMPT_ON_ORPHANED;
    bool gone = ends(p, event);
    runner->answer = answer;
    runner_step(p, event);
    runner->answer = NULL;
    if (!gone)
        step_after(p);
    if (event == ATTEMPT_ON_UNCLEAR)
        FAILPOINT(PAY_UNKNOWN);
    runner_pump(runner); /* a place at the gateway is free */
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
                                      .gateway_customer = p->gateway_customer};
    const struct pay_refund refund = {.order_id = p->order_id,
                                      .amount = p->amount,
                                      .currency = p->currency,
                                      .intent_id = p->intent_id,
                                      .idempotency_key = p->key};
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
    p->called_us = clock_mono_us();
    attempt_memory_sent(&p->memory, p->attempt.verb, (int64_t)(p->called_us / 1000));
    bool beside = p->refund && runner->breaker.state == CIRCUIT_BREAKER_SUSPECTED;
    p->probe = !beside && circuit_breaker_call(&runner->breaker);
    window_called(&runner->window, p->called_us / 1000);
    fair_queue_take(runner->queues[p->lane]);
    runner->inflight[p->lane]++;
    TAILQ_INSERT_TAIL(&runner->calls, p, calls);
    if (runner->young == NULL)
        runner->young = p;
    runner->calling[p->shard]++;
    runner_step(p, ATTEMPT_ON_SENT);
}

static bool key_old(const struct payment *p)
{
    bool under_key = p->attempt.verb == ATTEMPT_CHARGE || p->attempt.verb == ATTEMPT_REFUND;
    return under_key && (int64_t)clock_mono_ms() - p->born_ms >= (int64_t)p->runner->o.key_age_ms;
}

static bool breaker_lets(struct runner *runner, enum runner_lane lane)
{
    uint64_t now_ms = clock_mono_ms();
    if (lane == LANE_REFUNDS && runner->breaker.state == CIRCUIT_BREAKER_SUSPECTED)
        return true;
    if (circuit_breaker_lets(&runner->breaker, now_ms))
        return true;
    uint32_t wait_ms = circuit_breaker_wait_ms(&runner->breaker, now_ms);
    if (wait_ms > 0) /* else the answer to the probe is waited for */
        loop_timer_start(runner->pump_again, wait_ms, 0);
    return false;
}

static size_t share(const struct runner *runner, enum runner_lane lane)
{
    size_t size = runner->window.size;
    if (lane == LANE_CHARGES)
        return SIZE_MAX; /* the window alone counts */
    if (lane == LANE_LOOKS)
        return size < LOOKS_SHARE ? 1 : size / LOOKS_SHARE;
    return size < REFUND_CALLS_MAX ? (size + 1) / 2 : REFUND_CALLS_MAX;
}

static bool window_has_room(const struct runner *runner)
{
    return window_lets(&runner->window, in_window(runner), clock_mono_ms());
}

bool runner_may_call(void *arg)
{
    struct runner *runner = arg;
    bool may = window_has_room(runner);
    if (may)
        window_called(&runner->window, clock_mono_ms());
    return may;
}

/* 0: it is. */
static uint64_t slow_in_ms(const struct payment *p)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t slow_ms = p->called_us / 1000 + SLOW_MS;
    return slow_ms > now_ms ? slow_ms - now_ms : 0;
}

static void find_slow(struct runner *runner)
{
    while (runner->young != NULL && slow_in_ms(runner->young) == 0) {
        runner->young->slow = true;
        runner->slow++;
        runner->young = TAILQ_NEXT(runner->young, calls);
    }
}

/* Makes the first one's call. False: no further one of the lane can be made now. */
static bool call_first(struct runner *runner, enum runner_lane lane)
{
    struct payment *p = (struct payment *)fair_queue_first(runner->queues[lane]);
    if (p == NULL)
        return false;
    if (runner->held[p->shard]) {
        runner_step(p, ATTEMPT_ON_SHARD_LOST);
        return true;
    }
    if (key_old(p)) {
        (void)snprintf(p->code, sizeof p->code, "key_too_old");
        runner_step(p, ATTEMPT_ON_KEY_OLD);
        return true;
    }
    if (!window_has_room(runner)) {
        if (runner->window.limited)
            loop_timer_start(runner->pump_again, window_wait_ms(&runner->window, clock_mono_ms()),
                             0);
        else if (runner->young != NULL)
            loop_timer_start(runner->pump_again, slow_in_ms(runner->young), 0);
        return false;
    }
    if (runner->inflight[lane] >= share(runner, lane) || !breaker_lets(runner, lane))
        return false;
    int code = call(p);
    if (code == ERR_INVALID) {
        log_error("request cannot be made; the payment attempt ends",
                  LOG_STR("order_id", p->order_id),
                  LOG_STR("call", attempt_verb_text(p->attempt.verb)));
        (void)snprintf(p->code, sizeof p->code, "request_invalid");
        runner_step(p, ATTEMPT_ON_SEND_INVALID);
        return true;
    }
    if (code < 0) {
        runner_step(p, ATTEMPT_ON_SEND_FULL);
        loop_timer_start(runner->pump_again, PUMP_AGAIN_MS, 0);
        return false;
    }
    sent(p);
    return true;
}

void runner_pump(struct runner *runner)
{
    bool more = true;
    find_slow(runner);
    while (more) {
        more = false;
        for (int lane = 0; lane < LANES; lane++)
            more = call_first(runner, (enum runner_lane)lane) || more;
    }
    size_t calling = pay_inflight(runner->o.pay);
    size_t all = runner->count + runner->waiting;
    metric_set(runner->o.stats->payments_inflight, (double)calling);
    metric_set(runner->o.stats->payments_waiting, all > calling ? (double)(all - calling) : 0);
}
