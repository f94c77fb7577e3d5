#include "consumer/payer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/plant.h"
#include "consumer/payer_gate.h"
#include "consumer/payer_queue.h"

#define BUCKETS 4096 /* a power of two */
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 30000
#define REFUSED_RETRY_MS 1000
#define PUMP_AGAIN_MS 100
#define SHARDS_MAX 1024
#define KEY_SIZE (IDS_ORDER_SIZE + 24)

enum payment_state { PAYMENT_QUEUED, PAYMENT_CALLING, PAYMENT_WAITING };

struct payment {
    struct payer_queue_entry entry; /* first: a payment is found by its entry */
    struct payer *payer;
    struct payment *next_in_bucket;
    enum payment_state state;
    bool orphaned; /* its shard is not ours (any more) */
    bool cancelling;
    bool probe; /* its call tells whether others may go on */
    uint32_t shard;
    char sku[JOB_SKU_MAX + 1];
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    int64_t amount;
    char currency[8];
    char *payment_method;
    char *receipt_email; /* NULL: none */
    char intent_id[PAY_ID_MAX + 1];
    struct backoff backoff;
    struct loop_timer *timer; /* NULL until the first retry */
    uint64_t called_us;
};

struct payer {
    struct loop *loop;
    struct pay *pay;
    struct stats *stats;
    payer_ended_cb ended;
    payer_stopped_cb stopped;
    void *arg;
    struct payment *buckets[BUCKETS];
    struct payer_queue *queue;
    struct payer_gate gate;
    size_t count;
    size_t calling[SHARDS_MAX];
    bool held[SHARDS_MAX];
    struct loop_timer *pump_again;
};

static void pump(struct payer *payer);

static void pump_due(void *arg)
{
    pump(arg);
}

struct payer *payer_new(struct loop *loop, struct pay *pay, struct stats *stats,
                        unsigned inflight_max, payer_ended_cb ended, payer_stopped_cb stopped,
                        void *arg)
{
    struct payer *payer = calloc(1, sizeof *payer);
    if (payer == NULL)
        return NULL;
    *payer = (struct payer){
        .loop = loop, .pay = pay, .stats = stats, .ended = ended, .stopped = stopped, .arg = arg};
    payer->pump_again = loop_timer_new(loop, pump_due, payer);
    payer->queue = payer_queue_new(inflight_max < 2 ? 1 : inflight_max / 2);
    if (payer->pump_again == NULL || payer->queue == NULL) {
        payer_free(payer);
        return NULL;
    }
    return payer;
}

/* FNV-1a (Fowler, Noll, Vo) of the order's id. */
static size_t bucket_of(const char *order_id)
{
    uint32_t hash = 2166136261U;
    for (const char *p = order_id; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619U;
    return hash & (BUCKETS - 1);
}

static struct payment *find(struct payer *payer, const char *order_id, int64_t attempt)
{
    struct payment *p = payer->buckets[bucket_of(order_id)];
    while (p != NULL && (p->attempt != attempt || strcmp(p->order_id, order_id) != 0))
        p = p->next_in_bucket;
    return p;
}

static void free_payment(struct payment *p)
{
    free(p->payment_method);
    free(p->receipt_email);
    loop_timer_free(p->timer);
    free(p);
}

/* Takes it out of the table and frees it; it must not be queued. */
static void forget(struct payment *p)
{
    struct payer *payer = p->payer;
    struct payment **link = &payer->buckets[bucket_of(p->order_id)];
    while (*link != p)
        link = &(*link)->next_in_bucket;
    *link = p->next_in_bucket;
    payer->count--;
    metric_add(payer->stats->of_shard[p->shard].payments, -1);
    free_payment(p);
}

void payer_free(struct payer *payer)
{
    if (payer == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct payment *p = payer->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            free_payment(p);
        }
    }
    loop_timer_free(payer->pump_again);
    payer_queue_free(payer->queue);
    free(payer);
}

static void enqueue(struct payment *p)
{
    p->state = PAYMENT_QUEUED;
    if (payer_queue_push(p->payer->queue, &p->entry, p->sku) < 0)
        forget(p); /* the sweep finds it again */
}

static void show_counts(struct payer *payer)
{
    size_t calling = pay_inflight(payer->pay);
    metric_set(payer->stats->payments_inflight, (double)calling);
    metric_set(payer->stats->payments_waiting,
               payer->count > calling ? (double)(payer->count - calling) : 0);
}

/* ---- answers ---- */

static void retry_due(void *arg)
{
    struct payment *p = arg;
    if (p->orphaned) {
        forget(p);
        return;
    }
    enqueue(p);
    pump(p->payer);
}

static void retry_later(struct payment *p, uint32_t at_least_ms)
{
    if (p->timer == NULL)
        p->timer = loop_timer_new(p->payer->loop, retry_due, p);
    if (p->timer == NULL) {
        forget(p); /* the sweep finds it again */
        return;
    }
    uint32_t wait = backoff_next(&p->backoff);
    p->state = PAYMENT_WAITING;
    loop_timer_start(p->timer, wait > at_least_ms ? wait : at_least_ms, 0);
}

static void end(struct payment *p, const char *state, const struct pay_answer *answer)
{
    struct payer *payer = p->payer;
    const char *intent = answer->intent_id[0] != '\0' ? answer->intent_id : p->intent_id;
    payer->ended(p->shard, p->order_id, p->attempt, state, intent, answer->code, payer->arg);
    forget(p);
}

/* Nobody is rejected for it. */
static void refused(struct payment *p, const struct pay_answer *answer)
{
    log_warning("the gateway refuses a payment for no fault of its buyer; it waits",
                LOG_STR("order_id", p->order_id), LOG_INT("http_status", answer->http_status),
                LOG_STR("code", answer->code));
    retry_later(p, REFUSED_RETRY_MS);
}

static void unknown(struct payment *p, const struct pay_answer *answer)
{
    log_warning("a payment's outcome is unknown; asking again with the same key",
                LOG_STR("order_id", p->order_id), LOG_INT("http_status", answer->http_status),
                LOG_STR("code", answer->code));
    retry_later(p, answer->retry_after_s * 1000);
}

static void cancelled(const struct pay_answer *answer, void *arg);

/* What to charge; `key` (as checkout.payments.idempotency_key) is written and pointed to. */
static struct pay_charge charge_of(const struct payment *p, char key[KEY_SIZE])
{
    (void)snprintf(key, KEY_SIZE, "%s-%" PRId64, p->order_id, p->attempt);
    PLANT(FRESH_KEY,
          (void)snprintf(key, KEY_SIZE, "%s-%" PRIx32, p->order_id, (uint32_t)clock_mono_us()));
    return (struct pay_charge){.order_id = p->order_id,
                               .shard = p->shard,
                               .amount = p->amount,
                               .currency = p->currency,
                               .payment_method = p->payment_method,
                               .idempotency_key = key,
                               .receipt_email = p->receipt_email};
}

/* The buyer would have to act at the bank; that is not offered, so the intent is cancelled first:
 * its success must not come when the unit is someone else's. */
static void cancel_intent(struct payment *p)
{
    p->cancelling = true;
    enqueue(p);
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
        memcpy(p->intent_id, answer->intent_id, sizeof p->intent_id);
        cancel_intent(p);
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

static enum payer_gate_news news_of(const struct pay_answer *answer)
{
    switch (answer->outcome) {
    case PAY_SUCCEEDED:
    case PAY_DECLINED:
    case PAY_BAD_INPUT:
    case PAY_REQUIRES_ACTION:
        return PAYER_GATE_DEFINITE;
    case PAY_UNKNOWN:
        return PAYER_GATE_FAILED;
    case PAY_MISCONFIGURED:
        return answer->http_status == 401 || answer->http_status == 403
                   ? PAYER_GATE_REFUSED_US
                   : PAYER_GATE_REFUSED_REQUEST;
    }
    return PAYER_GATE_FAILED;
}

static void tell_gate(struct payer *payer, const struct pay_answer *answer)
{
    const struct stats *stats = payer->stats;
    enum payer_gate_state state = payer->gate.state;
    metric_set(stats->payments_stopped, state != PAYER_GATE_OPEN);
    metric_set(stats->payments_misconfigured, state == PAYER_GATE_MISCONFIGURED);
    if (state == PAYER_GATE_MISCONFIGURED)
        log_error("payments are stopped: the gateway refuses our key or our requests; check "
                  "CHECKOUT_GATEWAY_*; orders wait, nobody is rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else if (state == PAYER_GATE_FAILING)
        log_error("payments are stopped: the gateway fails mostly; orders wait, nobody is rejected",
                  LOG_INT("http_status", answer->http_status), LOG_STR("code", answer->code));
    else
        log_info("payments go on: the gateway serves us again");
    payer->stopped(payer_gate_text(&payer->gate), payer->arg);
}

static void pass_gate(struct payment *p, const struct pay_answer *answer)
{
    struct payer_gate *gate = &p->payer->gate;
    enum payer_gate_state before = gate->state;
    payer_gate_answer(gate, news_of(answer), p->probe, clock_mono_ms());
    p->probe = false;
    if (gate->state != before)
        tell_gate(p->payer, answer);
}

/* Common to every answer; false if the payment is not ours to go on with. */
static bool back_from_call(struct payment *p, const struct pay_answer *answer)
{
    struct payer *payer = p->payer;
    payer->calling[p->shard]--;
    payer_queue_done(payer->queue, &p->entry);
    stats_payment(payer->stats, pay_outcome_text(answer->outcome));
    metric_observe(payer->stats->payment_seconds, (double)(clock_mono_us() - p->called_us) / 1e6);
    pass_gate(p, answer);
    if (!p->orphaned)
        return true;
    forget(p);
    return false;
}

static void cancelled(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct payer *payer = p->payer;
    if (back_from_call(p, answer)) {
        struct pay_answer declined = *answer;
        if (answer->outcome == PAY_DECLINED)
            (void)snprintf(declined.code, sizeof declined.code, "authentication_required");
        dispatch(p, &declined);
    }
    pump(payer);
}

static void charged(const struct pay_answer *answer, void *arg)
{
    struct payment *p = arg;
    struct payer *payer = p->payer;
    if (back_from_call(p, answer))
        dispatch(p, answer);
    pump(payer);
}

/* ---- calls ---- */

static int call(struct payment *p)
{
    struct payer *payer = p->payer;
    char key[KEY_SIZE];
    struct pay_charge charge = charge_of(p, key);
    return p->cancelling ? pay_cancel(payer->pay, &charge, p->intent_id, cancelled, p)
                         : pay_charge(payer->pay, &charge, charged, p);
}

/* Whether one may be called now; else it is looked at again in time. */
static bool gate_lets(struct payer *payer)
{
    uint64_t now_ms = clock_mono_ms();
    if (payer_gate_lets(&payer->gate, now_ms))
        return true;
    uint32_t wait_ms = payer_gate_wait_ms(&payer->gate, now_ms);
    if (wait_ms > 0) /* else the answer to the probe is waited for */
        loop_timer_start(payer->pump_again, wait_ms, 0);
    return false;
}

/* Starts calls while the gateway's window has room. */
static void pump(struct payer *payer)
{
    struct payment *p;
    while ((p = (struct payment *)payer_queue_first(payer->queue)) != NULL) {
        if (p->orphaned || payer->held[p->shard]) {
            payer_queue_drop(payer->queue);
            forget(p);
            continue;
        }
        if (!gate_lets(payer))
            break;
        p->called_us = clock_mono_us();
        int code = call(p);
        if (code == ERR_FULL && pay_inflight(payer->pay) > 0)
            break; /* the next answer makes room */
        if (code < 0) {
            loop_timer_start(payer->pump_again, PUMP_AGAIN_MS, 0);
            break;
        }
        p->probe = payer_gate_call(&payer->gate);
        payer_queue_take(payer->queue);
        p->state = PAYMENT_CALLING;
        payer->calling[p->shard]++;
    }
    show_counts(payer);
}

static struct payment *new_payment(struct payer *payer, uint32_t shard,
                                   const struct counter_effect *effect)
{
    struct payment *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->payer = payer;
    p->shard = shard;
    p->attempt = effect->attempt;
    p->amount = effect->amount;
    (void)snprintf(p->sku, sizeof p->sku, "%s", effect->sku);
    (void)snprintf(p->order_id, sizeof p->order_id, "%s", effect->order_id);
    (void)snprintf(p->currency, sizeof p->currency, "%s", effect->currency);
    p->payment_method = strdup(effect->payment_method);
    p->receipt_email = effect->receipt_email == NULL ? NULL : strdup(effect->receipt_email);
    backoff_init(&p->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, clock_mono_us());
    if (p->payment_method == NULL || (effect->receipt_email != NULL && p->receipt_email == NULL)) {
        free_payment(p);
        return NULL;
    }
    return p;
}

int payer_add(struct payer *payer, uint32_t shard, const struct counter_effect *effect)
{
    payer->held[shard] = false;
    struct payment *known = find(payer, effect->order_id, effect->attempt);
    if (known != NULL) {
        known->orphaned = false;
        return 0;
    }
    if (payer->count >= PAYER_MAX)
        return ERR_FULL;
    struct payment *p = new_payment(payer, shard, effect);
    if (p == NULL)
        return ERR_NOMEM;
    struct payment **bucket = &payer->buckets[bucket_of(p->order_id)];
    p->next_in_bucket = *bucket;
    *bucket = p;
    payer->count++;
    metric_add(payer->stats->of_shard[shard].payments, 1);
    enqueue(p);
    pump(payer);
    return 0;
}

void payer_forget_shard(struct payer *payer, uint32_t shard)
{
    payer->held[shard] = false;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct payment *p = payer->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (p->shard != shard)
                continue;
            p->orphaned = true; /* those queued go at the next pump */
            if (p->state == PAYMENT_WAITING)
                forget(p);
        }
    }
    pump(payer);
}

void payer_hold_shard(struct payer *payer, uint32_t shard)
{
    payer->held[shard] = true;
}

const char *payer_stopped(const struct payer *payer)
{
    return payer_gate_text(&payer->gate);
}

size_t payer_calling(const struct payer *payer, uint32_t shard)
{
    return payer->calling[shard];
}
