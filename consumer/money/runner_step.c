/* What a payment does when its state changes: waits, queues, is looked for, or reports its end. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/testing/failpoint.h"
#include "consumer/gateway/look_pace.h"
#include "consumer/money/runner_impl.h"

#define NOTE_AFTER_MS 5000  /* so long without an end: record it, ... */
#define NOTE_AGAIN_MS 60000 /* ... and so often */
#define LOG_AGAIN_MS 30000
#define HELD_MS 15000     /* a debit that cannot be cancelled: until the next cancel, ... */
#define HELD_LIST_MS 5000 /* ... and until the list is read, if the refusal names no intent */

/* ---- what is reported ---- */

static const char *text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static struct outcome outcome_of(const struct payment *p, enum outcome_kind kind)
{
    struct outcome outcome = {.kind = kind,
                              .shard = p->shard,
                              .attempt = p->number,
                              .intent_id = p->refund ? NULL : text_or_null(p->intent_id),
                              .code = text_or_null(p->code)};
    memcpy(outcome.order_id, p->order_id, sizeof outcome.order_id);
    return outcome;
}

static void report(const struct payment *p, const struct outcome *outcome)
{
    p->runner->o.outcome(outcome, p->runner->o.arg);
}

/* What a person said is the reason of an end that no answer gave. */
static const char *code_of(const struct payment *p, enum attempt_action action)
{
    bool said = p->word == TASK_CAPTURED || p->word == TASK_NOT_CAPTURED || p->word == TASK_RELEASE;
    if (action == ATTEMPT_DO_END_SUPERSEDED)
        return "not_found";
    if (said && (action == ATTEMPT_DO_END_FAILED ||
                 (action == ATTEMPT_DO_END_CAPTURED && p->found == ATTEMPT_ON_NOT_FOUND &&
                  p->runner->answer == NULL)))
        return "resolved";
    if (action == ATTEMPT_DO_END_DECLINED && p->attempt.verb == ATTEMPT_CANCEL &&
        p->found == ATTEMPT_ON_NOT_FOUND)
        return "authentication_required";
    return p->code;
}

static void end(struct payment *p, enum attempt_action action)
{
    static const enum outcome_kind kinds[ATTEMPT_ACTIONS] = {
        [ATTEMPT_DO_END_CAPTURED] = OUTCOME_CAPTURED,
        [ATTEMPT_DO_END_DECLINED] = OUTCOME_DECLINED,
        [ATTEMPT_DO_END_FAILED] = OUTCOME_FAILED,
        [ATTEMPT_DO_END_OTHER_SUM] = OUTCOME_OTHER_SUM,
        [ATTEMPT_DO_END_SUPERSEDED] = OUTCOME_SUPERSEDED,
        [ATTEMPT_DO_END_REFUNDED] = OUTCOME_REFUNDED,
        [ATTEMPT_DO_END_REFUND_FAILED] = OUTCOME_REFUND_FAILED,
        [ATTEMPT_DO_END_REFUND_AGAIN] = OUTCOME_REFUND_AGAIN,
        [ATTEMPT_DO_END_REFUND_LATER] = OUTCOME_REFUND_LATER};
    const struct pay_answer *answer = p->runner->answer;
    struct outcome outcome = outcome_of(p, kinds[action]);
    outcome.amount = p->amount;
    outcome.code = text_or_null(code_of(p, action));
    outcome.problem = p->problem;
    outcome.param = text_or_null(p->param);
    if (p->refund && answer != NULL) /* the refund's own id, if the answer tells it */
        outcome.intent_id = text_or_null(answer->intent_id);
    if (action == ATTEMPT_DO_END_OTHER_SUM) {
        log_error("payment took another sum than the price; refunding it", LOG_PAYMENT(p),
                  LOG_STR("intent", p->intent_id), LOG_INT("took", p->received),
                  LOG_INT("price", p->amount));
        outcome.amount = p->received;
    }
    if (action == ATTEMPT_DO_END_DECLINED && p->word == TASK_BUYER_CANCELS)
        outcome.kind = OUTCOME_CANCELLED;
    if ((outcome.kind == OUTCOME_FAILED || outcome.kind == OUTCOME_OTHER_SUM) &&
        outcome.problem == PAY_NO_PROBLEM)
        outcome.problem = PAY_TRY_AGAIN;
    if (outcome.kind == OUTCOME_SUPERSEDED)
        outcome.intent_id = NULL;
    if (action == ATTEMPT_DO_END_FAILED && answer != NULL)
        log_warning("gateway refused payment; its order fails", LOG_PAYMENT(p),
                    LOG_INT("http_status", answer->http_status), LOG_STR("code", p->code),
                    LOG_STR("param", p->param));
    if (p->refund || outcome.kind == OUTCOME_SUPERSEDED)
        log_info("payment attempt ended", LOG_PAYMENT(p), LOG_INT("attempt", p->number),
                 LOG_STR("outcome", outcome_text(outcome.kind)), LOG_STR("code", outcome.code));
    report(p, &outcome);
}

static void note(struct payment *p)
{
    int64_t now_ms = (int64_t)clock_mono_ms();
    bool same = strcmp(p->noted, p->code) == 0;
    if (p->noted_ms != 0 && same && now_ms - p->noted_ms < NOTE_AGAIN_MS)
        return;
    memcpy(p->noted, p->code, sizeof p->noted);
    p->noted_ms = now_ms;
    struct outcome outcome = outcome_of(p, p->refund ? OUTCOME_REFUND_UNCLEAR : OUTCOME_UNCLEAR);
    report(p, &outcome);
}

/* Recorded before the buyer hears of it. What is recorded already stays as it is. */
static void ask_buyer(struct payment *p)
{
    const struct runner *runner = p->runner;
    if (p->act_until_ms == 0)
        p->act_until_ms = (int64_t)clock_mono_ms() + runner->o.action_wait_ms;
    if (p->asked || runner->answer == NULL)
        return;
    struct outcome outcome = outcome_of(p, OUTCOME_ACTION);
    outcome.action = runner->answer->action;
    outcome.wait_ms = runner->o.action_wait_ms;
    report(p, &outcome);
}

/* ---- what waits ---- */

static void timer_due(void *arg)
{
    struct payment *p = arg;
    struct runner *runner = p->runner;
    bool over = p->attempt.state == ATTEMPT_WAIT_BUYER && p->attempt.verb == ATTEMPT_GET &&
                (int64_t)clock_mono_ms() >= p->act_until_ms;
    if (over)
        log_info("buyer or bank has not acted in time; cancelling the payment", LOG_PAYMENT(p),
                 LOG_STR("code", p->code));
    runner_step(p, over ? ATTEMPT_ON_TIME_UP : ATTEMPT_ON_TIMER);
    gateway_pump(runner->gateway);
}

static void wait(struct payment *p, uint64_t ms)
{
    if (p->timer == NULL)
        p->timer = loop_timer_new(p->runner->o.loop, timer_due, p);
    if (p->timer == NULL) {
        runner_step(p, ATTEMPT_ON_SHARD_LOST); /* the sweep finds it again */
        return;
    }
    loop_timer_start(p->timer, ms, 0);
}

/* A new kind of call begins with short waits. */
static uint32_t next_wait(struct payment *p)
{
    if (p->backoff_of != p->attempt.verb) {
        bool looks = p->attempt.verb == ATTEMPT_GET;
        backoff_init(&p->backoff, looks ? LOOK_PACE_FIRST_MS : RUNNER_RETRY_FIRST_MS,
                     looks ? LOOK_PACE_MAX_MS : RUNNER_RETRY_MAX_MS, clock_mono_us());
        p->backoff_of = p->attempt.verb;
    }
    return backoff_next(&p->backoff);
}

/* Until its buyer's time is over; 0: it is. */
static uint64_t left_ms(const struct payment *p)
{
    int64_t now_ms = (int64_t)clock_mono_ms();
    return now_ms >= p->act_until_ms ? 0 : (uint64_t)(p->act_until_ms - now_ms);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void wait_for_retry(struct payment *p)
{
    uint64_t wait_ms = next_wait(p);
    if (p->attempt.verb == ATTEMPT_GET && left_ms(p) > wait_ms)
        wait_ms = smaller(look_pace_failed_ms(p->runner->waiting, (uint32_t)wait_ms), left_ms(p));
    if (log_due(&p->logged_ms, LOG_AGAIN_MS) && p->runner->answer != NULL)
        log_warning("payment attempt has no definite answer; trying again", LOG_PAYMENT(p),
                    LOG_STR("call", attempt_verb_text(p->attempt.verb)), LOG_STR("code", p->code),
                    LOG_INT("http_status", p->runner->answer->http_status));
    wait(p, wait_ms > p->retry_after_ms ? wait_ms : p->retry_after_ms);
}

/* The next look, or the end of the buyer's time. */
static void wait_for_buyer(struct payment *p)
{
    struct runner *runner = p->runner;
    int64_t now_ms = (int64_t)clock_mono_ms();
    bool looks = p->attempt.verb == ATTEMPT_GET; /* else it is held, and is cancelled again */
    bool hints_come = looks && look_pace_hints_come(runner->hinted_ms, now_ms);
    if (p->act_until_ms == 0)
        p->act_until_ms = now_ms + runner->o.action_wait_ms;
    uint64_t wait_ms = look_pace_ms(runner->waiting, hints_come, next_wait(p));
    if (!looks && wait_ms < HELD_MS)
        wait_ms = HELD_MS;
    if (looks && p->soon > 0)
        wait_ms = look_pace_soon_ms(p->soon--);
    wait(p, looks ? smaller(wait_ms, left_ms(p)) : wait_ms);
}

static void queue(struct payment *p)
{
    static const enum gateway_kind kinds[] = {[ATTEMPT_CHARGE] = GATEWAY_CHARGES,
                                              [ATTEMPT_GET] = GATEWAY_LOOKS,
                                              [ATTEMPT_CANCEL] = GATEWAY_CHARGES,
                                              [ATTEMPT_REFUND] = GATEWAY_REFUNDS,
                                              [ATTEMPT_FIND_REFUND] = GATEWAY_REFUNDS};
    if (gateway_queue(p->runner->gateway, &p->call, kinds[p->attempt.verb], p->sku) < 0)
        runner_step(p, ATTEMPT_ON_SHARD_LOST); /* the sweep finds it again */
}

/* Not before `at_ms`. */
static void look_up(struct payment *p, int64_t at_ms)
{
    p->found = ATTEMPT_ON_NOT_FOUND;
    reconcile_add(p->runner->reconcile, &p->list, at_ms);
}

static void enter(struct payment *p)
{
    int64_t now_ms = (int64_t)clock_mono_ms();
    switch (p->attempt.state) {
    case ATTEMPT_QUEUED:
        queue(p);
        return;
    case ATTEMPT_WAIT_RETRY:
        wait_for_retry(p);
        return;
    case ATTEMPT_WAIT_BUYER:
        wait_for_buyer(p);
        return;
    case ATTEMPT_RECONCILE:
        log_warning("payment attempt is looked up in the gateway's list", LOG_PAYMENT(p),
                    LOG_INT("attempt", p->number), LOG_STR("code", p->code));
        look_up(p, p->attempt.verb == ATTEMPT_CANCEL ? now_ms + HELD_LIST_MS : 0);
        return;
    case ATTEMPT_CALLING: /* no cancel follows a cancel at once */
        if (p->attempt.verb == ATTEMPT_CANCEL && p->act_until_ms < now_ms + HELD_MS)
            p->act_until_ms = now_ms + HELD_MS;
        return;
    case ATTEMPT_ENDED:
    case ATTEMPT_STATES:
        return;
    }
}

static void leave(struct payment *p, enum attempt_state state)
{
    if (state == ATTEMPT_QUEUED)
        gateway_leave(p->runner->gateway, &p->call);
    else if (state == ATTEMPT_RECONCILE)
        reconcile_remove(p->runner->reconcile, &p->list);
    else if (p->timer != NULL)
        loop_timer_stop(p->timer);
}

/* ---- steps ---- */

void runner_count(struct payment *p, int by)
{
    struct runner *runner = p->runner;
    const struct stats *stats = runner->o.stats;
    size_t *count = &runner->count;
    if (p->refund)
        count = &runner->refunds;
    else if (p->attempt.state == ATTEMPT_WAIT_BUYER || p->attempt.verb == ATTEMPT_GET)
        count = &runner->waiting;
    *count += (size_t)by;
    if (p->refund)
        metric_set(stats->refunds_open, (double)runner->refunds);
    else
        metric_add(stats->of_shard[p->shard].payments, by);
    size_t calling = gateway_inflight(runner->gateway);
    size_t all = runner->count + runner->waiting;
    metric_set(stats->payments_waiting, all > calling ? (double)(all - calling) : 0);
}

/* Our key may charge, but not give back: only a person can mend that. */
static bool may_not_refund(const struct payment *p)
{
    const struct pay_answer *answer = p->runner->answer;
    return p->refund && answer != NULL &&
           (answer->outcome == PAY_UNAUTHORIZED || answer->outcome == PAY_FORBIDDEN);
}

static void act(struct payment *p, enum attempt_action action)
{
    switch ((int)action) {
    case ATTEMPT_DO_NOTE:
        note(p);
        return;
    case ATTEMPT_DO_NOTE_LATE:
        if ((int64_t)clock_mono_ms() - p->born_ms >= NOTE_AFTER_MS || may_not_refund(p))
            note(p);
        return;
    case ATTEMPT_DO_ASK_BUYER:
        ask_buyer(p);
        return;
    case ATTEMPT_DO_REMEMBER:
        p->hinted = true;
        return;
    case ATTEMPT_DO_HURRY:
        reconcile_hurry(p->runner->reconcile);
        return;
    case ATTEMPT_DO_LOOK_AGAIN:
        look_up(p, attempt_memory_list_tells_ms(&p->memory, p->runner->o.limit_ms));
        return;
    case ATTEMPT_DO_ORPHAN:
        p->orphaned = true;
        return;
    case ATTEMPT_DO_ADOPT:
        p->orphaned = false;
        return;
    default:
        return;
    }
}

void runner_step(struct payment *p, enum attempt_event event)
{
    enum attempt_state before = p->attempt.state;
    runner_count(p, -1);
    struct attempt_step step = attempt_enter(&p->attempt, event, p->order_id, p->number);
    runner_count(p, 1);
    bool moved = step.state != before;
    if (moved)
        leave(p, before);
    if (step.state == ATTEMPT_ENDED && moved) {
        if (step.action != ATTEMPT_DO_FORGET)
            end(p, step.action);
        runner_count(p, -1);
        payment_forget(p);
        return;
    }
    bool looks_up = step.action == ATTEMPT_DO_HURRY && moved;
    if (!looks_up)
        act(p, step.action);
    if (moved || event == ATTEMPT_ON_START)
        enter(p); /* it may be gone then */
    if (looks_up)
        reconcile_hurry(p->runner->reconcile);
}

void runner_step_word(struct payment *p)
{
    static const enum attempt_event events[] = {[TASK_BUYER_CANCELS] = ATTEMPT_ON_BUYER_CANCEL,
                                                [TASK_CAPTURED] = ATTEMPT_ON_RESOLVED_CAPTURED,
                                                [TASK_NOT_CAPTURED] =
                                                    ATTEMPT_ON_RESOLVED_NOT_CAPTURED,
                                                [TASK_RELEASE] = ATTEMPT_ON_RESOLVED_RELEASE};
    if (p->word != TASK_UNRESOLVED)
        runner_step(p, events[p->word]);
}
