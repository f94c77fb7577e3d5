#include "consumer/watch/returns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/ids.h"

#define LIST_MAX ((size_t)256 * 1024)
#define HINTS_SIZE 24
#define NO_PLACE_MS 100
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 60000
#define PAGES_MAX 10 /* of one payment's refunds: a thousand */

struct look {
    struct returns *of;
    bool used;
    bool calling;
    bool orphaned; /* its shard is not ours any more */
    uint32_t shard;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    char intent_id[PAY_ID_MAX + 1];
    char hints[HINTS_SIZE]; /* newest; that the look answers, if no other comes meanwhile */
    char begun[HINTS_SIZE]; /* those when it was begun */
    enum pay_return_kind kind;
    char after[PAY_ID_MAX + 1]; /* "": the first page */
    unsigned pages;
    struct buf list;
    struct backoff backoff;
    struct loop_timer *timer;
};

struct returns {
    struct returns_options o;
    struct look looks[RETURNS_MAX];
};

static void ask(void *arg);

struct returns *returns_new(const struct returns_options *options)
{
    struct returns *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->o = *options;
    for (size_t i = 0; i < RETURNS_MAX; i++)
        r->looks[i].of = r;
    return r;
}

static void end(struct look *look)
{
    loop_timer_free(look->timer);
    buf_free(&look->list);
    *look = (struct look){.of = look->of};
}

void returns_free(struct returns *returns)
{
    if (returns == NULL)
        return;
    for (size_t i = 0; i < RETURNS_MAX; i++)
        if (returns->looks[i].used)
            end(&returns->looks[i]);
    free(returns);
}

/* ---- one look ---- */

static void begin(struct look *look)
{
    buf_reset(&look->list);
    (void)buf_printf(&look->list, "{\"intent\":\"%s\",\"returns\":[", look->intent_id);
    memcpy(look->begun, look->hints, sizeof look->begun);
    look->kind = PAY_RETURN_REFUND;
    look->after[0] = '\0';
    look->pages = 0;
}

static void begin_again(struct look *look)
{
    begin(look);
    loop_timer_start(look->timer, backoff_next(&look->backoff), 0);
}

static void report(struct look *look)
{
    const struct returns_options *o = &look->of->o;
    (void)buf_str(&look->list, "]}");
    if (look->list.failed) {
        log_error("refunds and disputes of a payment not recorded: too many",
                  LOG_STR("order_id", look->order_id), LOG_STR("intent", look->intent_id));
        end(look);
        return;
    }
    struct outcome outcome = {.kind = OUTCOME_RETURNS,
                              .shard = look->shard,
                              .attempt = look->attempt,
                              .code = look->begun,
                              .returns = buf_text(&look->list)};
    memcpy(outcome.order_id, look->order_id, sizeof outcome.order_id);
    o->outcome(&outcome, o->arg);
    end(look);
}

static void write_one(struct look *look, const struct pay_return *found)
{
    struct buf *list = &look->list;
    if (found->intent_id == NULL || strcmp(found->intent_id, look->intent_id) != 0)
        return; /* not what was asked for */
    if (list->data[list->len - 1] != '[')
        (void)buf_char(list, ',');
    (void)buf_printf(list, "{\"kind\":\"%s\",\"id\":\"%s\",\"amount\":%" PRId64,
                     look->kind == PAY_RETURN_REFUND ? "refund" : "dispute", found->id,
                     found->amount);
    (void)buf_printf(list, ",\"currency\":\"%s\",\"status\":\"%s\"", found->currency,
                     found->status);
    if (found->reason != NULL)
        (void)buf_printf(list, ",\"reason\":\"%s\"", found->reason);
    bool ours = found->order_id != NULL && strcmp(found->order_id, look->order_id) == 0;
    (void)buf_printf(list, ",\"ours\":%s}", ours ? "true" : "false");
}

/* Oldest last, as the gateway lists them. */
static void take(struct look *look, const struct pay_returns *page)
{
    for (size_t i = 0; i < page->count; i++)
        write_one(look, &page->items[i]);
    if (page->has_more && ++look->pages < PAGES_MAX) {
        (void)snprintf(look->after, sizeof look->after, "%s", page->items[page->count - 1].id);
        ask(look);
    } else if (look->kind == PAY_RETURN_REFUND) {
        look->kind = PAY_RETURN_DISPUTE;
        look->after[0] = '\0';
        look->pages = 0;
        ask(look);
    } else if (strcmp(look->begun, look->hints) != 0) {
        begin_again(look); /* something has happened meanwhile */
    } else {
        report(look);
    }
}

static void listed(const struct pay_returns *page, void *arg)
{
    struct look *look = arg;
    look->calling = false;
    if (look->orphaned) {
        end(look);
        return;
    }
    bool forbidden = page->code == ERR_AUTH || page->code == ERR_REFUSED;
    if (page->code < 0)
        log_warning("refunds and disputes of a payment not listed",
                    LOG_STR("order_id", look->order_id),
                    LOG_STR("list", look->kind == PAY_RETURN_REFUND ? "refunds" : "disputes"),
                    LOG_STR("problem", err_text(page->code)));
    if (page->code == 0)
        take(look, page);
    else if (forbidden && look->kind == PAY_RETURN_DISPUTE)
        report(look); /* our key may not see disputes: refunds count all the same */
    else
        begin_again(look);
}

static void ask(void *arg)
{
    struct look *look = arg;
    const struct returns_options *o = &look->of->o;
    const char *after = look->after[0] == '\0' ? NULL : look->after;
    int code = ERR_FULL;
    if (gateway_may_call(o->gateway))
        code =
            pay_returns(gateway_pay(o->gateway), look->kind, look->intent_id, after, listed, look);
    look->calling = code == 0;
    if (code == ERR_INVALID) {
        log_error("refunds and disputes of a payment not listed: its id is not valid",
                  LOG_STR("order_id", look->order_id));
        end(look);
    } else if (code < 0) {
        loop_timer_start(look->timer, NO_PLACE_MS, 0);
    }
}

/* ---- all of them ---- */

/* NULL: there is no place. */
static struct look *place_of(struct returns *returns, const char *intent_id)
{
    struct look *free_one = NULL;
    for (size_t i = 0; i < RETURNS_MAX; i++) {
        struct look *look = &returns->looks[i];
        if (look->used && strcmp(look->intent_id, intent_id) == 0)
            return look;
        if (!look->used)
            free_one = look;
    }
    return free_one;
}

void returns_look(struct returns *returns, const struct task *task)
{
    struct look *look = place_of(returns, task->intent_id);
    if (look == NULL || strlen(task->intent_id) > PAY_ID_MAX)
        return; /* the sweep asks again */
    look->orphaned = false;
    look->shard = task->shard;
    (void)snprintf(look->hints, sizeof look->hints, "%s", task->key);
    if (look->used)
        return;
    look->timer = loop_timer_new(returns->o.loop, ask, look);
    if (look->timer == NULL)
        return;
    look->used = true;
    look->attempt = task->attempt;
    (void)snprintf(look->order_id, sizeof look->order_id, "%s", task->order_id);
    (void)snprintf(look->intent_id, sizeof look->intent_id, "%s", task->intent_id);
    buf_init(&look->list, LIST_MAX);
    backoff_init(&look->backoff, RETRY_FIRST_MS, RETRY_MAX_MS, clock_mono_us());
    begin(look);
    ask(look);
}

void returns_forget_shard(struct returns *returns, uint32_t shard)
{
    for (size_t i = 0; i < RETURNS_MAX; i++) {
        struct look *look = &returns->looks[i];
        if (!look->used || look->shard != shard)
            continue;
        if (look->calling)
            look->orphaned = true;
        else
            end(look);
    }
}
