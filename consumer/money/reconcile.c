#include "consumer/money/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/strmap.h"
#include "consumer/gateway/gateway_list.h"

#define BUCKETS 1024      /* a power of two */
#define PASS_FIRST_MS 300 /* between two passes; so what becomes unclear meanwhile gathers */
#define PASS_MAX_MS 30000

TAILQ_HEAD(entry_list, reconcile_entry);
LIST_HEAD(entry_bucket, reconcile_entry);

struct reconcile {
    struct gateway_list *list;
    struct entry_bucket buckets[BUCKETS];
    struct entry_list entries;
    struct loop_timer *timer; /* the next pass */
    struct backoff passes;
    bool running;
    int64_t next_ms;    /* no pass begins before */
    int64_t soonest_ms; /* when the first of those that wait may be looked for */
};

static void due(void *arg);
static void take(const struct pay_intent *intent, void *arg);
static void read_to_the_end(int code, int64_t began_ms, void *arg);

struct reconcile *reconcile_new(struct loop *loop, struct gateway *gateway)
{
    struct reconcile *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    TAILQ_INIT(&r->entries);
    backoff_init(&r->passes, PASS_FIRST_MS, PASS_MAX_MS, clock_mono_us());
    r->timer = loop_timer_new(loop, due, r);
    const struct gateway_list_options list = {
        .loop = loop, .gateway = gateway, .intent = take, .done = read_to_the_end, .arg = r};
    r->list = gateway_list_new(&list);
    if (r->timer != NULL && r->list != NULL)
        return r;
    reconcile_free(r);
    return NULL;
}

void reconcile_free(struct reconcile *reconcile)
{
    if (reconcile == NULL)
        return;
    gateway_list_free(reconcile->list);
    loop_timer_free(reconcile->timer);
    free(reconcile);
}

static struct entry_bucket *bucket_of(struct reconcile *r, const char *order_id)
{
    return &r->buckets[strmap_hash(order_id, strlen(order_id)) & (BUCKETS - 1)];
}

/* The next pass begins at this time, but not too soon after the one before. */
static void begin_at(struct reconcile *r, int64_t at_ms)
{
    int64_t now_ms = (int64_t)clock_mono_ms();
    r->soonest_ms = at_ms;
    if (at_ms < r->next_ms)
        at_ms = r->next_ms;
    loop_timer_start(r->timer, at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0, 0);
}

void reconcile_add(struct reconcile *reconcile, struct reconcile_entry *entry, int64_t at_ms)
{
    int64_t gather_ms = (int64_t)clock_mono_ms() + PASS_FIRST_MS;
    if (!entry->here) {
        entry->here = true;
        entry->in_pass = false;
        TAILQ_INSERT_TAIL(&reconcile->entries, entry, link);
        LIST_INSERT_HEAD(bucket_of(reconcile, entry->order_id), entry, bucket);
    }
    entry->at_ms = at_ms > gather_ms ? at_ms : gather_ms;
    if (!reconcile->running &&
        (!loop_timer_active(reconcile->timer) || entry->at_ms < reconcile->soonest_ms))
        begin_at(reconcile, entry->at_ms);
}

void reconcile_remove(struct reconcile *reconcile, struct reconcile_entry *entry)
{
    if (!entry->here)
        return;
    entry->here = false;
    TAILQ_REMOVE(&reconcile->entries, entry, link);
    LIST_REMOVE(entry, bucket);
}

void reconcile_hurry(struct reconcile *reconcile)
{
    if (!reconcile->running && !TAILQ_EMPTY(&reconcile->entries))
        loop_timer_start(reconcile->timer, 0, 0);
}

void reconcile_heard_date(struct reconcile *reconcile, int64_t date_s)
{
    gateway_list_heard_date(reconcile->list, date_s);
}

/* ---- the pass ---- */

static void end_pass(struct reconcile *r)
{
    r->running = false;
    r->next_ms = (int64_t)clock_mono_ms() + backoff_next(&r->passes);
    const struct reconcile_entry *entry;
    int64_t soonest_ms = INT64_MAX;
    TAILQ_FOREACH(entry, &r->entries, link)
    if (entry->at_ms < soonest_ms)
        soonest_ms = entry->at_ms;
    if (soonest_ms == INT64_MAX)
        backoff_reset(&r->passes);
    else
        begin_at(r, soonest_ms);
}

static struct reconcile_entry *first_in_pass(const struct reconcile *r)
{
    struct reconcile_entry *entry;
    TAILQ_FOREACH(entry, &r->entries, link)
    if (entry->in_pass)
        break;
    return entry;
}

/* Reports to all that were in it from its beginning; that may add others, or the same again. */
static void read_to_the_end(int code, int64_t began_ms, void *arg)
{
    struct reconcile *r = arg;
    struct reconcile_entry *entry;
    while (code == 0 && (entry = first_in_pass(r)) != NULL) {
        reconcile_remove(r, entry);
        entry->in_pass = false;
        entry->read(entry, began_ms);
    }
    end_pass(r);
}

static void take(const struct pay_intent *intent, void *arg)
{
    struct reconcile *r = arg;
    struct reconcile_entry *entry;
    if (intent->order_id == NULL)
        return;
    LIST_FOREACH(entry, bucket_of(r, intent->order_id), bucket)
    if (entry->in_pass && strcmp(entry->order_id, intent->order_id) == 0)
        entry->intent(entry, intent);
}

static void due(void *arg)
{
    struct reconcile *r = arg;
    if (r->running || TAILQ_EMPTY(&r->entries))
        return;
    struct reconcile_entry *entry;
    int64_t oldest_ms = (int64_t)clock_mono_ms();
    r->running = true;
    TAILQ_FOREACH(entry, &r->entries, link)
    {
        entry->in_pass = true;
        if (entry->born_ms < oldest_ms)
            oldest_ms = entry->born_ms;
    }
    gateway_list_read(r->list, oldest_ms);
}
