/* Payments whose buyer has to act at the bank: the unit stays held for a while, the intent is
 * looked at until it has ended, and cancelled when the time is up. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/testing/failpoint.h"
#include "consumer/money/payer_impl.h"

#define LOOK_FIRST_MS 1000 /* without a hint of the gateway's, it is looked at so soon, ... */
#define LOOK_MAX_MS 15000  /* ... and at least so often */
#define WRAPPING 48

/* Its success must not come when the unit is someone else's. */
void payer_cancel_intent(struct payment *p)
{
    p->acting = false;
    p->cancelling = true;
    backoff_init(&p->backoff, 200, 30000, clock_mono_us());
    payer_enqueue(p);
}

/* Recorded before the buyer hears of it. What is recorded already stays as it is. */
static void record(struct payment *p, const struct pay_answer *answer)
{
    const struct payer_options *o = &p->payer->o;
    char text[PAY_ACTION_MAX + WRAPPING];
    (void)snprintf(text, sizeof text, "{\"wait_ms\":%" PRIu32 ",\"action\":%s}", o->action_wait_ms,
                   answer->action);
    o->ended(p->shard, p->order_id, p->attempt, "action", p->intent_id, text, o->arg);
}

/* The next look, or the end of its time. */
static void wait(struct payment *p)
{
    uint64_t now_ms = clock_mono_ms();
    if (now_ms >= p->act_until_ms) {
        log_info("the buyer has not acted in time; the payment is cancelled",
                 LOG_STR("order_id", p->order_id));
        payer_cancel_intent(p);
        return;
    }
    uint64_t left_ms = p->act_until_ms - now_ms;
    if (p->hinted)
        backoff_reset(&p->backoff);
    uint32_t step_ms = backoff_next(&p->backoff);
    p->hinted = false;
    payer_retry_at(p, left_ms < step_ms ? (uint32_t)left_ms : step_ms);
}

static void begin_acting(struct payment *p)
{
    p->acting = true;
    p->act_until_ms = clock_mono_ms() + p->payer->o.action_wait_ms;
    backoff_init(&p->backoff, LOOK_FIRST_MS, LOOK_MAX_MS, clock_mono_us());
}

void payer_find_action(struct payment *p)
{
    begin_acting(p);
    payer_enqueue(p);
}

void payer_ask_buyer(struct payment *p, const struct pay_answer *answer)
{
    memcpy(p->intent_id, answer->intent_id, sizeof p->intent_id);
    if (answer->action[0] == '\0' || p->resolution != RESOLVED_NOT) {
        payer_cancel_intent(p); /* nobody could act on it */
        return;
    }
    if (!p->acting)
        begin_acting(p);
    if (!p->asked)
        record(p, answer);
    wait(p);
}

void payer_looked(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct payer *payer = p->payer;
    FAILPOINT(ACTION_LOOKED);
    if (payer_back(p, answer)) {
        if (answer->outcome == PAY_SUCCEEDED)
            payer_end(p, "captured", p->intent_id, answer->code);
        else if (answer->outcome == PAY_DECLINED && strcmp(answer->code, "canceled") == 0)
            payer_end(p, "declined", p->intent_id, answer->code);
        else if (answer->outcome == PAY_DECLINED)
            payer_cancel_intent(p); /* else the buyer could still give it another card */
        else if (answer->outcome == PAY_REQUIRES_ACTION)
            payer_ask_buyer(p, answer);
        else
            wait(p);
    }
    payer_pump(payer);
}

void payer_hear(struct payer *payer, const struct task *task)
{
    for (struct payment *p = payer_next_of_order(payer, task->order_id, NULL), *next; p != NULL;
         p = next) {
        next = payer_next_of_order(payer, task->order_id, p);
        if (!p->acting)
            continue;
        if (task->kind == TASK_AWAIT_BUYER && p->attempt == task->attempt) {
            p->asked = true;
            p->act_until_ms = clock_mono_ms() + (uint64_t)task->left_ms;
        }
        if (p->state == PAYMENT_WAITING && task->kind == TASK_CHECK)
            payer_retry_at(p, 0);
        else if (task->kind == TASK_CHECK)
            p->hinted = true;
    }
}
