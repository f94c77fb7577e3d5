#include "consumer/money/payer_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 30000
#define PUMP_AGAIN_MS 100

static void pump_due(void *arg)
{
    payer_pump(arg);
}

struct payer *payer_new(const struct payer_options *options)
{
    struct payer *payer = calloc(1, sizeof *payer);
    if (payer == NULL)
        return NULL;
    payer->o = *options;
    payer->pump_again = loop_timer_new(options->loop, pump_due, payer);
    payer->queue = payer_queue_new(options->inflight_max < 2 ? 1 : options->inflight_max / 2);
    if (payer->pump_again == NULL || payer->queue == NULL || payer_lookup_init(payer) < 0) {
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
    return hash & (PAYER_BUCKETS - 1);
}

static struct payment *find(struct payer *payer, const char *order_id, int64_t attempt)
{
    struct payment *p = payer->buckets[bucket_of(order_id)];
    while (p != NULL && (p->attempt != attempt || strcmp(p->order_id, order_id) != 0))
        p = p->next_in_bucket;
    return p;
}

struct payment *payer_next_of_order(struct payer *payer, const char *order_id,
                                    struct payment *before)
{
    struct payment *p =
        before == NULL ? payer->buckets[bucket_of(order_id)] : before->next_in_bucket;
    while (p != NULL && strcmp(p->order_id, order_id) != 0)
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

void payer_forget(struct payment *p)
{
    struct payer *payer = p->payer;
    struct payment **link = &payer->buckets[bucket_of(p->order_id)];
    while (*link != p)
        link = &(*link)->next_in_bucket;
    *link = p->next_in_bucket;
    payer->count--;
    metric_add(payer->o.stats->of_shard[p->shard].payments, -1);
    free_payment(p);
}

void payer_free(struct payer *payer)
{
    if (payer == NULL)
        return;
    for (size_t i = 0; i < PAYER_BUCKETS; i++) {
        for (struct payment *p = payer->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            free_payment(p);
        }
    }
    payer_lookup_free(payer);
    loop_timer_free(payer->pump_again);
    payer_queue_free(payer->queue);
    free(payer);
}

void payer_enqueue(struct payment *p)
{
    p->state = PAYMENT_QUEUED;
    if (payer_queue_push(p->payer->queue, &p->entry, p->sku, p->called_us != 0) < 0)
        payer_forget(p); /* the sweep finds it again */
}

static void show_counts(struct payer *payer)
{
    size_t calling = pay_inflight(payer->o.pay);
    metric_set(payer->o.stats->payments_inflight, (double)calling);
    metric_set(payer->o.stats->payments_waiting,
               payer->count > calling ? (double)(payer->count - calling) : 0);
}

static void retry_due(void *arg)
{
    struct payment *p = arg;
    if (p->orphaned) {
        payer_forget(p);
        return;
    }
    payer_enqueue(p);
    payer_pump(p->payer);
}

void payer_retry_at(struct payment *p, uint32_t in_ms)
{
    if (p->timer == NULL)
        p->timer = loop_timer_new(p->payer->o.loop, retry_due, p);
    if (p->timer == NULL) {
        payer_forget(p); /* the sweep finds it again */
        return;
    }
    p->state = PAYMENT_WAITING;
    loop_timer_start(p->timer, in_ms, 0);
}

void payer_retry_later(struct payment *p, uint32_t at_least_ms)
{
    uint32_t wait = backoff_next(&p->backoff);
    payer_retry_at(p, wait > at_least_ms ? wait : at_least_ms);
}

struct pay_charge payer_charge_of(const struct payment *p, char key[PAYER_KEY_SIZE])
{
    (void)snprintf(key, PAYER_KEY_SIZE, "%s-%" PRId64, p->order_id, p->attempt);
    SEEDED_BUG(FRESH_KEY, (void)snprintf(key, PAYER_KEY_SIZE, "%s-%" PRIx32, p->order_id,
                                         (uint32_t)clock_mono_us()));
    return (struct pay_charge){.order_id = p->order_id,
                               .shard = p->shard,
                               .amount = p->amount,
                               .currency = p->currency,
                               .payment_method = p->payment_method,
                               .idempotency_key = key,
                               .receipt_email = p->receipt_email};
}

/* ---- calls ---- */

/* Whether the key may still be sent. Shortly before the gateway may forget it, it is not: then it
 * is looked up, when nobody's call can be under way any more. */
static bool key_good(struct payment *p)
{
    if (p->resolution != RESOLVED_NOT && !p->cancelling) {
        payer_queue_drop(p->payer->queue);
        return !payer_resolved(p);
    }
    const struct payer_options *o = &p->payer->o;
    uint64_t age_ms = clock_mono_ms() - p->born_ms;
    if (p->cancelling || p->acting || age_ms < o->key_age_ms)
        return true;
    payer_queue_drop(p->payer->queue);
    if (age_ms < o->key_age_ms + o->timeout_ms)
        payer_retry_later(p, (uint32_t)(o->key_age_ms + o->timeout_ms - age_ms));
    else
        payer_look_up(p, "key_too_old");
    return false;
}

static int call(struct payment *p)
{
    struct payer *payer = p->payer;
    char key[PAYER_KEY_SIZE];
    struct pay_charge charge = payer_charge_of(p, key);
    if (p->cancelling)
        return pay_cancel(payer->o.pay, &charge, p->intent_id, payer_cancelled, p);
    if (p->acting)
        return pay_get(payer->o.pay, &charge, p->intent_id, payer_looked, p);
    return pay_charge(payer->o.pay, &charge, payer_charged, p);
}

/* Whether one may be called now; else it is looked at again in time. */
static bool gate_lets(struct payer *payer)
{
    uint64_t now_ms = clock_mono_ms();
    if (circuit_breaker_lets(&payer->gate, now_ms))
        return true;
    uint32_t wait_ms = circuit_breaker_wait_ms(&payer->gate, now_ms);
    if (wait_ms > 0) /* else the answer to the probe is waited for */
        loop_timer_start(payer->pump_again, wait_ms, 0);
    return false;
}

/* Starts calls while the gateway's window has room. */
void payer_pump(struct payer *payer)
{
    struct payment *p;
    while ((p = (struct payment *)payer_queue_first(payer->queue)) != NULL) {
        if (p->orphaned || payer->held[p->shard]) {
            payer_queue_drop(payer->queue);
            payer_forget(p);
            continue;
        }
        if (!key_good(p))
            continue;
        if (!gate_lets(payer))
            break;
        p->called_us = clock_mono_us();
        int code = call(p);
        if (code == ERR_FULL && pay_inflight(payer->o.pay) > 0)
            break; /* the next answer makes room */
        if (code < 0) {
            loop_timer_start(payer->pump_again, PUMP_AGAIN_MS, 0);
            break;
        }
        if (p->cancelling)
            FAILPOINT_SOON(CANCEL_SENT);
        else
            FAILPOINT_SOON(PAY_SENT);
        p->probe = circuit_breaker_call(&payer->gate);
        payer_queue_take(payer->queue);
        p->state = PAYMENT_CALLING;
        payer->calling[p->shard]++;
    }
    show_counts(payer);
}

static enum payment_resolution resolution_of(const struct task *task)
{
    switch (task->resolution) {
    case TASK_UNRESOLVED:
        return RESOLVED_NOT;
    case TASK_CAPTURED:
        return RESOLVED_CAPTURED;
    case TASK_NOT_CAPTURED:
        return RESOLVED_NOT_CAPTURED;
    }
    return RESOLVED_NOT;
}

static struct payment *new_payment(struct payer *payer, uint32_t shard, const struct task *task)
{
    struct payment *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->payer = payer;
    p->shard = shard;
    p->attempt = task->attempt;
    p->amount = task->amount;
    (void)snprintf(p->sku, sizeof p->sku, "%s", task->sku);
    (void)snprintf(p->order_id, sizeof p->order_id, "%s", task->order_id);
    (void)snprintf(p->currency, sizeof p->currency, "%s", task->currency);
    p->payment_method = strdup(task->payment_method);
    p->receipt_email = task->receipt_email == NULL ? NULL : strdup(task->receipt_email);
    p->born_ms = clock_mono_ms() - (uint64_t)task->age_ms;
    p->resolution = resolution_of(task);
    backoff_init(&p->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, clock_mono_us());
    if (p->payment_method == NULL || (task->receipt_email != NULL && p->receipt_email == NULL)) {
        free_payment(p);
        return NULL;
    }
    return p;
}

/* One that is here already, and was found or resolved again. */
static void refresh(struct payment *p, const struct task *task)
{
    uint64_t born_ms = clock_mono_ms() - (uint64_t)task->age_ms;
    if (born_ms < p->born_ms) /* our clock may have stood still */
        p->born_ms = born_ms;
    p->orphaned = false;
    enum payment_resolution resolution = resolution_of(task);
    if (resolution == RESOLVED_NOT || resolution == p->resolution)
        return; /* the first may just be a look of before */
    p->resolution = resolution;
    if (p->state == PAYMENT_WAITING) {
        loop_timer_stop(p->timer);
        payer_enqueue(p); /* its turn ends it */
    } else if (p->state == PAYMENT_UNCLEAR && p->resolution == RESOLVED_CAPTURED) {
        (void)payer_resolved(p);
    }
}

int payer_add(struct payer *payer, uint32_t shard, const struct task *task)
{
    payer->held[shard] = false;
    struct payment *known = find(payer, task->order_id, task->attempt);
    if (known != NULL) {
        refresh(known, task);
        payer_pump(payer);
        return 0;
    }
    if (payer->count >= PAYER_MAX)
        return ERR_FULL;
    struct payment *p = new_payment(payer, shard, task);
    if (p == NULL)
        return ERR_NOMEM;
    struct payment **bucket = &payer->buckets[bucket_of(p->order_id)];
    p->next_in_bucket = *bucket;
    *bucket = p;
    payer->count++;
    metric_add(payer->o.stats->of_shard[shard].payments, 1);
    if (p->attempt == 1) {
        payer_enqueue(p);
    } else { /* the one before has failed: not at once */
        for (int64_t n = 2; n < p->attempt && p->backoff.step_ms < RETRY_MAX_MS; n++)
            (void)backoff_next(&p->backoff);
        payer_retry_later(p, 0);
    }
    FAILPOINT(PAY);
    payer_pump(payer);
    return 0;
}

void payer_forget_shard(struct payer *payer, uint32_t shard)
{
    payer->held[shard] = false;
    for (size_t i = 0; i < PAYER_BUCKETS; i++) {
        for (struct payment *p = payer->buckets[i], *next; p != NULL; p = next) {
            next = p->next_in_bucket;
            if (p->shard != shard)
                continue;
            p->orphaned = true; /* those queued go at the next pump */
            if (p->state == PAYMENT_WAITING || p->state == PAYMENT_UNCLEAR)
                payer_forget(p);
        }
    }
    payer_pump(payer);
}

void payer_hold_shard(struct payer *payer, uint32_t shard)
{
    payer->held[shard] = true;
}

const char *payer_stopped(const struct payer *payer)
{
    return circuit_breaker_text(&payer->gate);
}

size_t payer_calling(const struct payer *payer, uint32_t shard)
{
    return payer->calling[shard];
}

bool circuit_breaker_open(const struct payer *payer, uint32_t *ret_wait_ms)
{
    uint64_t now_ms = clock_mono_ms();
    if (circuit_breaker_lets(&payer->gate, now_ms))
        return true;
    uint32_t wait_ms = circuit_breaker_wait_ms(&payer->gate, now_ms);
    *ret_wait_ms = wait_ms > PUMP_AGAIN_MS ? wait_ms : PUMP_AGAIN_MS;
    return false;
}

bool circuit_breaker_called(struct payer *payer)
{
    return circuit_breaker_call(&payer->gate);
}
