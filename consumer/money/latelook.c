#include "consumer/money/latelook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/ids.h"
#include "consumer/money/pager.h"

#define GATHER_MS 500
#define AFTER_FAILURE_MS 15000
#define SKEW_S 3600 /* the gateway's clock may differ from the database's */

struct look {
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    uint32_t shard;
    int64_t from_s; /* no intent of it was made before; wall clock */
};

struct latelook {
    struct refunder_options o;
    struct loop_timer *timer;
    struct look next[LATELOOK_MAX]; /* wait for the next pass */
    size_t next_count;
    struct look pass[LATELOOK_MAX]; /* of the pass under way, by order */
    size_t pass_count;
    struct pager *pager;
};

static void pass_due(void *arg);
static void page_read(const struct pay_intent *intents, size_t count, void *arg);
static void list_read(int code, void *arg);

struct latelook *latelook_new(const struct refunder_options *options)
{
    struct latelook *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->o = *options;
    const struct pager_options pager = {
        .loop = options->loop, .pay = options->pay, .page = page_read, .end = list_read, .arg = l};
    l->timer = loop_timer_new(options->loop, pass_due, l);
    l->pager = pager_new(&pager);
    if (l->timer == NULL || l->pager == NULL) {
        latelook_free(l);
        return NULL;
    }
    return l;
}

void latelook_free(struct latelook *latelook)
{
    if (latelook == NULL)
        return;
    pager_free(latelook->pager);
    loop_timer_free(latelook->timer);
    free(latelook);
}

static bool is_there(const struct look *looks, size_t count, const struct task *task)
{
    for (size_t i = 0; i < count; i++)
        if (looks[i].attempt == task->attempt && strcmp(looks[i].order_id, task->order_id) == 0)
            return true;
    return false;
}

void latelook_add(struct latelook *latelook, uint32_t shard, const struct task *task)
{
    if (latelook->next_count == LATELOOK_MAX ||
        is_there(latelook->next, latelook->next_count, task) ||
        is_there(latelook->pass, latelook->pass_count, task))
        return;
    struct look *look = &latelook->next[latelook->next_count++];
    *look = (struct look){.attempt = task->attempt,
                          .shard = shard,
                          .from_s = (clock_wall_ms() - task->age_ms) / 1000 - SKEW_S};
    (void)snprintf(look->order_id, sizeof look->order_id, "%s", task->order_id);
    if (latelook->pass_count == 0 && !loop_timer_active(latelook->timer))
        loop_timer_start(latelook->timer, GATHER_MS, 0);
}

/* ---- the pass ---- */

static int by_order(const void *a, const void *b)
{
    return strcmp(((const struct look *)a)->order_id, ((const struct look *)b)->order_id);
}

static void end_pass(struct latelook *l, uint64_t wait_ms)
{
    l->pass_count = 0;
    if (l->next_count > 0 || wait_ms > GATHER_MS)
        loop_timer_start(l->timer, wait_ms, 0);
}

static void fail(struct latelook *l, const char *why)
{
    log_warning("the gateway's list could not be read to its end; late successes are looked for "
                "later",
                LOG_STR("problem", why));
    end_pass(l, AFTER_FAILURE_MS);
}

static void take_intent(struct latelook *l, const struct pay_intent *intent)
{
    struct look key = {0};
    if (intent->order_id == NULL || strcmp(intent->status, "succeeded") != 0 ||
        strlen(intent->order_id) >= sizeof key.order_id)
        return;
    memcpy(key.order_id, intent->order_id, strlen(intent->order_id));
    const struct look *look = bsearch(&key, l->pass, l->pass_count, sizeof key, by_order);
    if (look != NULL)
        l->o.ended(look->shard, look->order_id, 0, "late", intent->id, intent->amount, "",
                   l->o.arg);
}

static void page_read(const struct pay_intent *intents, size_t count, void *arg)
{
    for (size_t i = 0; i < count; i++)
        take_intent(arg, &intents[i]);
}

static void list_read(int code, void *arg)
{
    struct latelook *l = arg;
    if (code < 0) {
        fail(l, err_text(code));
        return;
    }
    for (size_t i = 0; i < l->pass_count; i++)
        l->o.ended(l->pass[i].shard, l->pass[i].order_id, l->pass[i].attempt, "looked", "", 0, "",
                   l->o.arg);
    end_pass(l, GATHER_MS);
}

static void pass_due(void *arg)
{
    struct latelook *l = arg;
    if (l->next_count == 0)
        return;
    if (payer_stopped(l->o.payer) != NULL) {
        loop_timer_start(l->timer, AFTER_FAILURE_MS, 0);
        return;
    }
    memcpy(l->pass, l->next, l->next_count * sizeof l->next[0]);
    l->pass_count = l->next_count;
    l->next_count = 0;
    qsort(l->pass, l->pass_count, sizeof l->pass[0], by_order);
    int64_t from_s = l->pass[0].from_s;
    for (size_t i = 1; i < l->pass_count; i++)
        if (l->pass[i].from_s < from_s)
            from_s = l->pass[i].from_s;
    pager_start(l->pager, from_s);
}
