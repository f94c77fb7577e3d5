#include "consumer/money/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/strmap.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"
#include "consumer/gateway/look_pace.h"
#include "consumer/money/runner_impl.h"

static void check_table(void)
{
    struct attempt_wrong wrong;
    if (!attempt_table_good(&wrong)) {
        log_error("table of payment attempts is not whole",
                  LOG_STR("state", attempt_state_text(wrong.state)),
                  LOG_STR("call", attempt_verb_text(wrong.verb)),
                  LOG_STR("event", attempt_event_text(wrong.event)), LOG_INT("rows", wrong.rows));
        abort();
    }
}

struct runner *runner_new(const struct runner_options *options)
{
    check_table();
    struct runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL)
        return NULL;
    runner->o = *options;
    const struct gateway_options gateway = {.loop = options->loop,
                                            .pay = options->pay,
                                            .stats = options->stats,
                                            .inflight_first = options->inflight_first,
                                            .inflight_max = options->inflight_max,
                                            .ready = runner_ready,
                                            .make = runner_make_call,
                                            .arg = runner,
                                            .stopped = options->stopped,
                                            .stopped_arg = options->arg};
    runner->gateway = gateway_new(&gateway);
    runner->reconcile = reconcile_new(options->loop, runner->gateway);
    runner->late = late_new(runner->reconcile, runner->gateway, options->outcome, options->arg);
    const struct returns_options returns = {.loop = options->loop,
                                            .gateway = runner->gateway,
                                            .outcome = options->outcome,
                                            .arg = options->arg};
    runner->returns = returns_new(&returns);
    if (runner->gateway != NULL && runner->reconcile != NULL && runner->late != NULL &&
        runner->returns != NULL)
        return runner;
    runner_free(runner);
    return NULL;
}

void runner_stop(struct runner *runner)
{
    if (runner != NULL)
        gateway_stop(runner->gateway);
}

void runner_free(struct runner *runner)
{
    if (runner == NULL)
        return;
    for (size_t i = 0; i < RUNNER_BUCKETS; i++) {
        for (struct payment *p = runner->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            payment_free(p);
        }
    }
    late_free(runner->late);
    returns_free(runner->returns);
    reconcile_free(runner->reconcile);
    gateway_free(runner->gateway);
    free(runner);
}

/* ---- a new one ---- */

/* An intent of ours, in the gateway's list. */
static void listed(struct reconcile_entry *entry, const struct pay_intent *intent)
{
    struct payment *p = (struct payment *)((char *)entry - offsetof(struct payment, list));
    bool price = intent->amount == p->amount && intent->received == p->amount &&
                 strcasecmp(intent->currency, p->currency) == 0;
    enum attempt_event found = ATTEMPT_ON_FOUND_OPEN;
    if (intent->state == PAY_INTENT_SUCCEEDED)
        found = price ? ATTEMPT_ON_FOUND_SUCCEEDED : ATTEMPT_ON_FOUND_OTHER_SUM;
    else if (intent->state == PAY_INTENT_CANCELLED)
        found = ATTEMPT_ON_FOUND_CANCELLED;
    else if (p->word == TASK_UNRESOLVED &&
             (intent->state == PAY_INTENT_ACTION || intent->state == PAY_INTENT_PROCESSING))
        found = ATTEMPT_ON_FOUND_ALIVE;
    if (found <= p->found)
        return;
    p->found = found;
    p->received = intent->received;
    (void)snprintf(p->intent_id, sizeof p->intent_id, "%s", intent->id);
}

/* The whole list was read: what was found counts. */
static void read_list(struct reconcile_entry *entry, int64_t began_ms)
{
    struct payment *p = (struct payment *)((char *)entry - offsetof(struct payment, list));
    const struct runner_options *o = &p->runner->o;
    struct runner *runner = p->runner;
    bool tells = began_ms >= attempt_memory_list_tells_ms(&p->memory, o->limit_ms);
    bool over = (int64_t)clock_mono_ms() - p->order_born_ms >= o->action_wait_ms;
    runner_step(p, p->found != ATTEMPT_ON_NOT_FOUND
                       ? p->found
                       : attempt_memory_not_found(&p->memory, tells, p->number, p->word, over));
    gateway_pump(runner->gateway);
}

/* False: no memory. */
static bool copy_optional(const char *text, char **ret_copy)
{
    *ret_copy = text == NULL ? NULL : strdup(text);
    return text == NULL || *ret_copy != NULL;
}

static int copy_texts(struct payment *p, const struct task *task)
{
    (void)snprintf(p->sku, sizeof p->sku, "%s", task->sku);
    (void)snprintf(p->order_id, sizeof p->order_id, "%s", task->order_id);
    (void)snprintf(p->currency, sizeof p->currency, "%s", task->currency);
    if (task->intent_id != NULL)
        (void)snprintf(p->intent_id, sizeof p->intent_id, "%s", task->intent_id);
    (void)snprintf(p->traceparent, sizeof p->traceparent, "%s", task->traceparent);
    if (p->refund) {
        (void)snprintf(p->key, sizeof p->key, "%s", task->key);
        return 0;
    }
    (void)snprintf(p->key, sizeof p->key, "%s-%" PRId64, p->order_id, p->number);
    const char *customer = task->customer != NULL ? task->customer : task->order_id;
    p->customer = strmap_hash(customer, strlen(customer));
    p->quantity = task->quantity;
    (void)snprintf(p->customer_text, sizeof p->customer_text, "%s", customer);
    (void)snprintf(p->reference, sizeof p->reference, "%s", task->reference);
    p->payment_method = strdup(task->payment_method == NULL ? "" : task->payment_method);
    bool whole = p->payment_method != NULL &&
                 copy_optional(task->receipt_email, &p->receipt_email) &&
                 copy_optional(task->gateway_customer, &p->gateway_customer);
    return whole ? 0 : ERR_NOMEM;
}

/* The process that had it before may have sent it just now. */
static void remember_before(struct payment *p, const struct task *task)
{
    int64_t now_ms = (int64_t)clock_mono_ms();
    p->born_ms = now_ms - task->age_ms;
    p->order_born_ms =
        task->order_age_ms == TASK_NO_TIME ? p->born_ms : now_ms - task->order_age_ms;
    p->memory.ended_ms = now_ms - ATTEMPT_LIST_LATE_MS;
    if (task->age_ms > 0)
        attempt_memory_sent(&p->memory, p->refund ? ATTEMPT_REFUND : ATTEMPT_CHARGE, now_ms);
    if (task->left_ms != TASK_NO_TIME) {
        p->asked = true;
        p->act_until_ms = now_ms + task->left_ms;
    } else if (p->attempt.verb == ATTEMPT_GET) { /* the wait does not begin again */
        p->act_until_ms = p->born_ms + p->runner->o.action_wait_ms;
    }
}

/* One whose buyer was asked to act waits for that, and is looked at in its turn among those. */
static struct attempt begin_of(const struct payment *p, const struct task *task)
{
    if (p->refund)
        return (struct attempt){ATTEMPT_QUEUED, ATTEMPT_REFUND};
    if (p->intent_id[0] == '\0')
        return (struct attempt){ATTEMPT_QUEUED, ATTEMPT_CHARGE};
    bool asked = task->left_ms != TASK_NO_TIME;
    return (struct attempt){asked ? ATTEMPT_WAIT_BUYER : ATTEMPT_QUEUED, ATTEMPT_GET};
}

static struct payment *new_payment(struct runner *runner, const struct task *task)
{
    struct payment *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->runner = runner;
    p->refund = task->kind == TASK_REFUND;
    p->shard = task->shard;
    p->number = task->attempt;
    p->amount = task->amount;
    p->word = task->resolution;
    p->found = ATTEMPT_ON_NOT_FOUND;
    if (copy_texts(p, task) < 0) {
        payment_free(p);
        return NULL;
    }
    p->attempt = begin_of(p, task);
    p->list =
        (struct reconcile_entry){.order_id = p->order_id, .intent = listed, .read = read_list};
    backoff_init(&p->backoff, RUNNER_RETRY_FIRST_MS, RUNNER_RETRY_MAX_MS, clock_mono_us());
    p->backoff_of = p->attempt.verb;
    remember_before(p, task);
    p->list.born_ms = p->order_born_ms;
    return p;
}

/* ---- tasks ---- */

static struct payment *find(struct runner *runner, const struct task *task)
{
    bool refund = task->kind == TASK_REFUND;
    struct payment *p = NULL;
    while ((p = payment_next(runner, task->order_id, p)) != NULL)
        if (p->number == task->attempt && p->refund == refund &&
            (!refund || strcmp(p->key, task->key) == 0))
            return p;
    return NULL;
}

/* One that is here already, and was found or resolved again. */
static void refresh(struct payment *p, const struct task *task)
{
    int64_t born_ms = (int64_t)clock_mono_ms() - task->age_ms;
    if (born_ms < p->born_ms) /* our clock may have stood still */
        p->born_ms = born_ms;
    if (p->orphaned)
        runner_step(p, ATTEMPT_ON_SHARD_BACK);
    if (task->resolution == TASK_UNRESOLVED || task->resolution == p->word)
        return; /* the first may just be a look of before */
    p->word = task->resolution;
    runner_step_word(p);
}

/* How many tries there were before: a refund's key names them. */
static int64_t tries_before(const struct payment *p)
{
    static const char mark[] = "-refund-";
    if (!p->refund)
        return p->attempt.verb == ATTEMPT_CHARGE ? p->number - 1 : 0;
    const char *number = strstr(p->key, mark);
    int64_t tries = 1;
    if (number != NULL)
        (void)parse_digits(number + sizeof mark - 1, &tries);
    return tries - 1;
}

static void start(struct payment *p)
{
    int64_t tries = tries_before(p);
    for (int64_t n = 1; n < tries && p->backoff.step_ms < RUNNER_RETRY_MAX_MS; n++)
        (void)backoff_next(&p->backoff);
    runner_count(p, 1);
    runner_step(p, tries > 0 ? ATTEMPT_ON_START_LATER : ATTEMPT_ON_START);
}

static bool is_full(const struct runner *runner, const struct task *task)
{
    if (task->kind == TASK_REFUND)
        return runner->refunds >= RUNNER_REFUNDS_MAX;
    return runner->count >= RUNNER_MAX || runner->waiting >= RUNNER_WAITING_MAX;
}

static int take_up(struct runner *runner, const struct task *task)
{
    runner->held[task->shard] = false;
    struct payment *p = find(runner, task);
    if (p != NULL) {
        refresh(p, task);
        return 0;
    }
    if (is_full(runner, task))
        return ERR_FULL;
    p = new_payment(runner, task);
    if (p == NULL)
        return ERR_NOMEM;
    struct payment **bucket = payment_bucket(runner, p->order_id);
    p->next_in_bucket = *bucket;
    *bucket = p;
    bool refund = p->refund;
    start(p);
    p = find(runner, task);
    if (p != NULL)
        runner_step_word(p);
    if (refund)
        FAILPOINT(REFUND_CALL);
    else
        FAILPOINT(PAY);
    return 0;
}

static void hear(struct runner *runner, const struct task *task)
{
    if (task->kind == TASK_CHECK)
        runner->hinted_ms = (int64_t)clock_mono_ms();
    struct payment *p = payment_next(runner, task->order_id, NULL);
    while (p != NULL) {
        struct payment *next = payment_next(runner, task->order_id, p);
        if (task->kind == TASK_CHECK) {
            p->soon = LOOK_PACE_SOON;
            runner_step(p, ATTEMPT_ON_HINT);
        } else if (!p->refund && p->number == task->attempt) {
            p->asked = true;
            p->act_until_ms = (int64_t)clock_mono_ms() + task->left_ms;
        }
        p = next;
    }
}

int runner_add(struct runner *runner, const struct task *task)
{
    int code = 0;
    if (task->kind == TASK_RECONCILE)
        late_look(runner->late, task);
    else if (task->kind == TASK_LOOK_AT_RETURNS)
        returns_look(runner->returns, task);
    else if (task->kind == TASK_AWAIT_BUYER || task->kind == TASK_CHECK)
        hear(runner, task);
    else
        code = take_up(runner, task);
    gateway_pump(runner->gateway);
    return code;
}

/* ---- shards ---- */

void runner_forget_shard(struct runner *runner, uint32_t shard)
{
    runner->held[shard] = false;
    returns_forget_shard(runner->returns, shard);
    for (size_t i = 0; i < RUNNER_BUCKETS; i++) {
        for (struct payment *p = runner->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (p->shard == shard)
                runner_step(p, ATTEMPT_ON_SHARD_LOST);
        }
    }
    gateway_pump(runner->gateway);
}

void runner_hold_shard(struct runner *runner, uint32_t shard)
{
    runner->held[shard] = true;
}

const char *runner_stopped(const struct runner *runner)
{
    return gateway_stopped(runner->gateway);
}

size_t runner_calling(const struct runner *runner, uint32_t shard)
{
    return runner->calling[shard];
}
