#include "consumer/money/reconcile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/testing/failpoint.h"
#include "consumer/gateway/gateway.h"

#define BUCKETS 1024 /* a power of two */
#define PAGE_SIZE 100
#define PAGES_MAX 20000
#define TRIES_MAX 8 /* of one page */
#define NO_PLACE_MS 100
#define PAGE_FIRST_MS 100
#define PAGE_MAX_MS 5000
#define PASS_FIRST_MS 300 /* between two passes; so what becomes unclear meanwhile gathers */
#define PASS_MAX_MS 30000
#define SKEW_S                                                                                     \
    3600 /* that clocks may differ by: the database's, and the gateway's if it is not said */

TAILQ_HEAD(entry_list, reconcile_entry);
LIST_HEAD(entry_bucket, reconcile_entry);

struct reconcile {
    struct gateway *gateway;
    struct entry_bucket buckets[BUCKETS];
    struct entry_list entries;
    struct loop_timer *timer; /* the next pass, or the next page of one */
    struct backoff passes;
    struct backoff pages;
    bool running;
    int64_t next_ms;    /* no pass begins before */
    int64_t soonest_ms; /* when the first of those that wait may be looked for */
    bool clock_known;
    int64_t ahead_s; /* the gateway's clock, of our wall clock */
    /* of the pass */
    int64_t began_ms;
    int64_t oldest_ms; /* monotonic */
    int64_t from_s;    /* by the gateway's clock */
    unsigned pages_read;
    unsigned tries;
    char after[PAY_ID_MAX + 1]; /* the last intent of the page before; "": none */
};

static void due(void *arg);

struct reconcile *reconcile_new(struct loop *loop, struct gateway *gateway)
{
    struct reconcile *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->gateway = gateway;
    TAILQ_INIT(&r->entries);
    backoff_init(&r->passes, PASS_FIRST_MS, PASS_MAX_MS, clock_mono_us());
    backoff_init(&r->pages, PAGE_FIRST_MS, PAGE_MAX_MS, clock_mono_us() + 1);
    r->timer = loop_timer_new(loop, due, r);
    if (r->timer == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void reconcile_free(struct reconcile *reconcile)
{
    if (reconcile == NULL)
        return;
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
    if (date_s == 0)
        return;
    reconcile->clock_known = true;
    reconcile->ahead_s = date_s - clock_wall_ms() / 1000;
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

static void fail(struct reconcile *r, int code)
{
    log_warning("gateway's list cannot be read to its end; trying again later",
                LOG_STR("problem", err_text(code)), LOG_INT("pages", r->pages_read));
    end_pass(r);
}

/* Reports to all that were in it from its beginning; that may add others, or the same again. */
static void finish(struct reconcile *r)
{
    struct reconcile_entry *entry;
    do {
        TAILQ_FOREACH(entry, &r->entries, link)
        if (entry->in_pass)
            break;
        if (entry != NULL) {
            reconcile_remove(r, entry);
            entry->in_pass = false;
            entry->read(entry, r->began_ms);
        }
    } while (entry != NULL);
    end_pass(r);
}

static int64_t from_now(const struct reconcile *r)
{
    int64_t now_s = clock_wall_ms() / 1000 + (r->clock_known ? r->ahead_s : 0);
    return now_s - ((int64_t)clock_mono_ms() - r->oldest_ms) / 1000 - SKEW_S;
}

static void begin(struct reconcile *r)
{
    struct reconcile_entry *entry;
    r->running = true;
    r->began_ms = (int64_t)clock_mono_ms();
    r->oldest_ms = r->began_ms;
    TAILQ_FOREACH(entry, &r->entries, link)
    {
        entry->in_pass = true;
        if (entry->born_ms < r->oldest_ms)
            r->oldest_ms = entry->born_ms;
    }
    r->from_s = from_now(r);
    r->pages_read = 0;
    r->tries = 0;
    r->after[0] = '\0';
    backoff_reset(&r->pages);
}

static void page_failed(struct reconcile *r, int code)
{
    if (++r->tries < TRIES_MAX)
        loop_timer_start(r->timer, backoff_next(&r->pages), 0);
    else
        fail(r, code);
}

static void take(struct reconcile *r, const struct pay_intent *intent)
{
    struct reconcile_entry *entry;
    if (intent->order_id == NULL)
        return;
    LIST_FOREACH(entry, bucket_of(r, intent->order_id), bucket)
    if (entry->in_pass && strcmp(entry->order_id, intent->order_id) == 0)
        entry->intent(entry, intent);
}

static void ask(struct reconcile *r);

/* The list was begun too late for the clock that this page shows: what it lacks may be before that.
 */
static bool begins_too_late(struct reconcile *r, const struct pay_page *page)
{
    if (page->date_s == 0 || r->from_s <= 0)
        return false;
    reconcile_heard_date(r, page->date_s);
    if (from_now(r) >= r->from_s - SKEW_S / 2)
        return false;
    log_warning("gateway's clock is behind ours: reading its list from earlier on",
                LOG_INT("behind_s", -r->ahead_s));
    begin(r);
    return true;
}

static void paged(const struct pay_page *page, void *arg)
{
    struct reconcile *r = arg;
    FAILPOINT(LOOK_UP_ANSWERED);
    if (page->code < 0) {
        page_failed(r, page->code);
        return;
    }
    if (begins_too_late(r, page)) {
        ask(r);
        return;
    }
    const char *last = page->count == 0 ? "" : page->intents[page->count - 1].id;
    if (page->has_more && strcmp(last, r->after) == 0) {
        log_error("gateway's list repeats a page: it is given up; payments stay unclear",
                  LOG_STR("after", last));
        fail(r, ERR_PARSE);
        return;
    }
    r->tries = 0;
    backoff_reset(&r->pages);
    for (size_t i = 0; i < page->count; i++)
        take(r, &page->intents[i]);
    (void)snprintf(r->after, sizeof r->after, "%s", last);
    if (!page->has_more)
        finish(r);
    else if (++r->pages_read == PAGES_MAX)
        fail(r, ERR_FULL);
    else
        ask(r);
}

static void ask(struct reconcile *r)
{
    const char *after = r->after[0] == '\0' ? NULL : r->after;
    int code = ERR_FULL;
    if (gateway_may_call(r->gateway))
        code = pay_list(gateway_pay(r->gateway), r->from_s, after, PAGE_SIZE, paged, r);
    if (code == ERR_FULL) /* payments have all the places at the gateway */
        loop_timer_start(r->timer, NO_PLACE_MS, 0);
    else if (code < 0)
        page_failed(r, code);
    FAILPOINT_SOON(LOOK_UP_SENT);
}

static void due(void *arg)
{
    struct reconcile *r = arg;
    if (!r->running) {
        if (TAILQ_EMPTY(&r->entries))
            return;
        begin(r);
    }
    ask(r);
}
