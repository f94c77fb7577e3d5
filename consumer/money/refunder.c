#include "consumer/money/refunder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/ids.h"
#include "common/testing/failpoint.h"

#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 30000
#define REFUSED_RETRY_MS 1000
#define NO_PLACE_MS 100
#define CALLS_MAX 16 /* at once, so that charges have their places */
#define KEY_SIZE 96
#define NOTE_AFTER_MS 5000

struct refund {
    LIST_ENTRY(refund) link;
    struct refunder *refunder;
    struct loop_timer *timer; /* its next step */
    struct backoff backoff;
    bool calling;
    bool probe;    /* its call tells whether others may go on */
    bool orphaned; /* its shard is not ours (any more) */
    bool looking;  /* asking again tells nothing more: the next step looks it up */
    bool pending;  /* the gateway has taken it up: only its end is waited for */
    bool returned; /* the gateway says that nothing is left to give back */
    bool noted;
    unsigned stored_error; /* status of the newest answer if that was an error of the API itself */
    uint32_t shard;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    int64_t amount;
    char currency[8];
    char intent_id[PAY_ID_MAX + 1];
    char key[KEY_SIZE];
    uint64_t born_ms; /* monotonic: when its key became durable, before its first call */
};

struct refunder {
    struct refunder_options o;
    LIST_HEAD(, refund) refunds;
    size_t count;
    size_t calls;
};

struct refunder *refunder_new(const struct refunder_options *options)
{
    struct refunder *refunder = calloc(1, sizeof *refunder);
    if (refunder == NULL)
        return NULL;
    refunder->o = *options;
    LIST_INIT(&refunder->refunds);
    return refunder;
}

static void free_refund(struct refund *r)
{
    loop_timer_free(r->timer);
    free(r);
}

static void forget(struct refund *r)
{
    LIST_REMOVE(r, link);
    r->refunder->count--;
    metric_set(r->refunder->o.stats->refunds_open, (double)r->refunder->count);
    free_refund(r);
}

void refunder_free(struct refunder *refunder)
{
    if (refunder == NULL)
        return;
    for (struct refund *r = LIST_FIRST(&refunder->refunds), *next; r != NULL; r = next) {
        next = LIST_NEXT(r, link);
        free_refund(r);
    }
    free(refunder);
}

/* ---- what is reported ---- */

static void report(const struct refund *r, const char *state, const char *ref, const char *code)
{
    const struct refunder_options *o = &r->refunder->o;
    o->ended(r->shard, r->order_id, r->attempt, state, ref, r->amount, code, o->arg);
}

static void end(struct refund *r, const char *state, const char *ref, const char *code)
{
    log_info("a refund", LOG_STR("order_id", r->order_id), LOG_STR("state", state),
             LOG_STR("code", code));
    report(r, state, ref, code);
    forget(r);
}

/* So long without an end that an operator may want to know; at once if it may take days. */
static void note_if_late(struct refund *r, const char *code)
{
    bool late = clock_mono_ms() - r->born_ms >= NOTE_AFTER_MS;
    if (r->noted || !(late || strcmp(code, "pending") == 0))
        return;
    r->noted = true;
    report(r, "unclear", "", code);
}

static void later(struct refund *r, uint64_t at_least_ms)
{
    uint64_t wait = backoff_next(&r->backoff);
    loop_timer_start(r->timer, wait > at_least_ms ? wait : at_least_ms, 0);
}

static void look_up(struct refund *r)
{
    r->looking = true;
    later(r, 0);
}

/* ---- answers ---- */

/* An error that the gateway keeps as the result of the key: what was executed has ended. */
static bool is_stored(const struct refund *r, const struct pay_answer *answer)
{
    return !r->looking && answer->of_the_api && answer->http_status >= 500 &&
           (answer->replayed || answer->http_status == r->stored_error);
}

static bool says(const struct pay_answer *answer, const char *code)
{
    return strcmp(answer->code, code) == 0;
}

static void unknown(struct refund *r, const struct pay_answer *answer)
{
    bool stored = is_stored(r, answer);
    note_if_late(r, answer->code);
    log_warning("a refund's outcome is unknown yet", LOG_STR("order_id", r->order_id),
                LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    r->pending = r->pending || says(answer, "pending");
    r->returned = r->returned || says(answer, "charge_already_refunded");
    r->stored_error = answer->of_the_api ? answer->http_status : 0;
    if (stored || r->pending || r->returned || says(answer, "other_amount"))
        look_up(r);
    else
        later(r, (uint64_t)answer->retry_after_s * 1000);
}

/* Nothing came of it, as the gateway's list shows. */
static void not_executed(struct refund *r, const struct pay_answer *answer)
{
    if (r->returned) /* by whom, the list does not tell */
        end(r, "succeeded", "", "charge_already_refunded");
    else if (r->pending || says(answer, "failed"))
        end(r, "failed", answer->intent_id, "failed");
    else
        end(r, "again", "", answer->code);
}

/* Nobody has done anything wrong but the operator: it waits. */
static void refused(struct refund *r, const struct pay_answer *answer)
{
    log_warning("the gateway refuses a refund, for no fault of its own; it waits",
                LOG_STR("order_id", r->order_id), LOG_INT("http_status", answer->http_status),
                LOG_STR("code", answer->code));
    note_if_late(r, answer->code);
    later(r, REFUSED_RETRY_MS);
}

static void dispatch(struct refund *r, const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_SUCCEEDED:
        end(r, "succeeded", answer->intent_id, answer->code);
        return;
    case PAY_DECLINED:
        if (r->looking)
            not_executed(r, answer);
        else
            end(r, "failed", answer->intent_id, answer->code);
        return;
    case PAY_BAD_INPUT:
        end(r, "failed", "", answer->code);
        return;
    case PAY_REQUIRES_ACTION:
    case PAY_UNKNOWN:
        unknown(r, answer);
        return;
    case PAY_MISCONFIGURED:
        refused(r, answer);
        return;
    }
}

static void answered(const struct pay_answer *answer, void *arg)
{
    struct refund *r = arg;
    struct refunder *refunder = r->refunder;
    FAILPOINT(REFUND_ANSWERED);
    bool old = is_stored(r, answer);
    bool definite = says(answer, "pending") || says(answer, "partly_refunded") ||
                    says(answer, "charge_already_refunded");
    bool probe = r->probe;
    r->calling = false;
    r->probe = false;
    refunder->calls--;
    stats_refund(refunder->o.stats, pay_outcome_text(answer->outcome));
    if (r->orphaned)
        forget(r);
    else
        dispatch(r, answer);
    circuit_breaker_answered(refunder->o.payer, answer, old, definite, probe);
}

/* ---- the next step ---- */

/* Whether its key may still be sent; else it is looked up, when no call can be under way. */
static bool key_good(struct refund *r)
{
    const struct refunder_options *o = &r->refunder->o;
    uint64_t age_ms = clock_mono_ms() - r->born_ms;
    if (r->looking || age_ms < o->key_age_ms)
        return true;
    uint64_t safe_ms = o->key_age_ms + o->timeout_ms;
    if (age_ms < safe_ms) {
        loop_timer_start(r->timer, safe_ms - age_ms, 0);
        return false;
    }
    r->looking = true;
    return true;
}

static int call(struct refund *r)
{
    struct pay *pay = r->refunder->o.pay;
    const struct pay_refund refund = {.order_id = r->order_id,
                                      .amount = r->amount,
                                      .currency = r->currency,
                                      .intent_id = r->intent_id,
                                      .idempotency_key = r->key};
    return r->looking ? pay_find_refund(pay, &refund, answered, r)
                      : pay_refund(pay, &refund, answered, r);
}

static void step(void *arg)
{
    struct refund *r = arg;
    struct refunder *refunder = r->refunder;
    uint32_t wait_ms = NO_PLACE_MS;
    if (!key_good(r))
        return;
    if (refunder->calls >= CALLS_MAX || !circuit_breaker_open(refunder->o.payer, &wait_ms)) {
        loop_timer_start(r->timer, wait_ms, 0);
        return;
    }
    int code = call(r);
    if (code == ERR_INVALID) {
        end(r, "failed", "", "invalid_intent");
        return;
    }
    if (code < 0) {
        loop_timer_start(r->timer, NO_PLACE_MS, 0);
        return;
    }
    FAILPOINT_SOON(REFUND_CALL_SENT);
    r->calling = true;
    refunder->calls++;
    r->probe = circuit_breaker_called(refunder->o.payer);
}

/* ---- which refunds there are ---- */

static struct refund *find(struct refunder *refunder, const struct task *task)
{
    struct refund *r;
    LIST_FOREACH(r, &refunder->refunds, link)
    {
        if (r->attempt == task->attempt && strcmp(r->order_id, task->order_id) == 0 &&
            strcmp(r->key, task->key) == 0)
            return r;
    }
    return NULL;
}

static struct refund *new_refund(struct refunder *refunder, uint32_t shard, const struct task *task)
{
    struct refund *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->timer = loop_timer_new(refunder->o.loop, step, r);
    if (r->timer == NULL) {
        free(r);
        return NULL;
    }
    r->refunder = refunder;
    r->shard = shard;
    r->attempt = task->attempt;
    r->amount = task->amount;
    r->born_ms = clock_mono_ms() - (uint64_t)task->age_ms;
    (void)snprintf(r->order_id, sizeof r->order_id, "%s", task->order_id);
    (void)snprintf(r->currency, sizeof r->currency, "%s", task->currency);
    (void)snprintf(r->intent_id, sizeof r->intent_id, "%s", task->intent_id);
    (void)snprintf(r->key, sizeof r->key, "%s", task->key);
    backoff_init(&r->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, clock_mono_us());
    return r;
}

/* How many tries there were before, by the key: the first one has no number. */
static long tries_before(const char *key)
{
    static const char mark[] = "-refund-";
    const char *number = strstr(key, mark);
    return number == NULL ? 0 : strtol(number + sizeof mark - 1, NULL, 10) - 1;
}

int refunder_add(struct refunder *refunder, uint32_t shard, const struct task *task)
{
    struct refund *r = find(refunder, task);
    if (r != NULL) {
        r->orphaned = false;
        return 0;
    }
    if (refunder->count >= REFUNDER_MAX)
        return ERR_FULL;
    r = new_refund(refunder, shard, task);
    if (r == NULL)
        return ERR_NOMEM;
    LIST_INSERT_HEAD(&refunder->refunds, r, link);
    refunder->count++;
    metric_set(refunder->o.stats->refunds_open, (double)refunder->count);
    long tries = tries_before(r->key);
    uint32_t wait_ms = 0;
    for (long i = 0; i < tries && wait_ms < RETRY_MAX_MS / 2; i++)
        wait_ms = backoff_next(&r->backoff); /* the one before has failed: not at once */
    loop_timer_start(r->timer, wait_ms, 0);
    FAILPOINT(REFUND_CALL);
    return 0;
}

void refunder_forget_shard(struct refunder *refunder, uint32_t shard)
{
    struct refund *next;
    for (struct refund *r = LIST_FIRST(&refunder->refunds); r != NULL; r = next) {
        next = LIST_NEXT(r, link);
        if (r->shard != shard)
            continue;
        r->orphaned = true;
        if (!r->calling)
            forget(r);
    }
}

size_t refunder_calling(const struct refunder *refunder, uint32_t shard)
{
    size_t count = 0;
    const struct refund *r;
    LIST_FOREACH(r, &refunder->refunds, link)
    count += r->calling && r->shard == shard;
    return count;
}
