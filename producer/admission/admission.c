#include "producer/admission/admission.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "producer/admission/redis_script.h"
#include "producer/admission/redis_vouch.h"

#define WAIT_MS 100       /* longest wait for an answer */
#define SLOW_PAUSE_MS 500 /* after that Redis is not asked for a while */
#define WAITS_FOR_REDIS 1U
#define WAITS_FOR_TABLE 2U
#define WAITS_FOR_ITEM 4U

/* A query under way. Redis' answer, or the end of its connection, frees it. */
struct question {
    struct admission *admission; /* NULL: admission is gone */
    struct admission_entry *entries[REDIS_SCRIPT_ORDERS_MAX];
    size_t count; /* 0: no order waits any more */
    uint64_t asked_ms;
    struct question *next; /* in order of asking */
};

struct admission {
    struct loop *loop;
    struct redis *redis;
    struct redis_vouch *vouch;
    struct known_orders *known;
    struct known_items *items;
    struct limits *limits;
    admission_verdict_cb verdict;
    void *arg;
    struct admission_entry *first; /* not asked yet, in order */
    struct admission_entry *last;
    size_t waiting; /* these */
    struct loop_deferred *soon;
    struct loop_timer *late;
    struct question *asked_first;
    struct question *asked_last;
    bool script_known; /* to the Redis that is connected */
    uint64_t slow_until_ms;
};

/* ---- answers ---- */

/* The marker says what the row says. */
static bool marker_right(const struct admission_entry *entry, bool same)
{
    switch (entry->redis_verdict) {
    case ADMISSION_OPEN: /* Redis is not there */
        return true;
    case ADMISSION_PASS:
    case ADMISSION_RETRY:
        return same;
    case ADMISSION_LOCKED:
        return same && !entry->known.row.final;
    case ADMISSION_OTHER_BODY:
    case ADMISSION_SOLD_OUT: /* it has deleted the marker that it set */
    case ADMISSION_TAKEN:
    case ADMISSION_NO_ITEM: /* comes later than this */
    case ADMISSION_LIMITED:
    case ADMISSION_KNOWN:
        return false;
    }
    return false;
}

/* It left its marker just now, and took a place of each limit. */
static bool passed(const struct admission_entry *entry)
{
    return entry->redis_verdict == ADMISSION_PASS || entry->redis_verdict == ADMISSION_LOCKED;
}

static void mend(const struct admission *admission, const struct admission_entry *entry, bool same)
{
    enum limit_kind kinds[LIMIT_KINDS];
    const struct known_order *row = &entry->known.row;
    bool unlock = entry->redis_verdict == ADMISSION_LOCKED && (row->final || !same);
    bool limited = limits_kinds(admission->limits, kinds) > 0 ||
                   limits_rate(admission->limits, LIMIT_OPEN)->count > 0;
    bool put_back = passed(entry) && limited;
    if (put_back || !marker_right(entry, same))
        redis_script_mend(admission->redis, admission->limits, entry,
                          same ? entry->fingerprint : row->fingerprint, unlock, put_back);
}

/* Whether an order that PostgreSQL does not know may come in. */
static enum admission_verdict limit(const struct admission *admission,
                                    struct admission_entry *entry)
{
    if (entry->redis_verdict == ADMISSION_LIMITED)
        return limits_know(admission->limits, entry->order_id) ? ADMISSION_RETRY
                                                               : ADMISSION_LIMITED;
    if (entry->redis_verdict != ADMISSION_OPEN)
        return entry->redis_verdict;
    enum limits_answer answer = limits_ask(admission->limits, &entry->names, entry->order_id,
                                           (int64_t)clock_mono_us(), &entry->refused);
    entry->counted_here = answer == LIMITS_TAKEN;
    return answer == LIMITS_REFUSED ? ADMISSION_LIMITED : ADMISSION_OPEN;
}

/* Everybody who was asked has answered, or had the time to. */
static void conclude(struct admission *admission, struct admission_entry *entry)
{
    enum admission_verdict verdict;
    const char *fingerprint = entry->known.row.fingerprint;
    if (fingerprint != NULL) {
        /* Of a purged order the body is not known any more. */
        bool same = fingerprint[0] == '\0' || strcmp(fingerprint, entry->fingerprint) == 0;
        verdict = same ? ADMISSION_KNOWN : ADMISSION_OTHER_BODY;
        mend(admission, entry, same);
    } else {
        verdict = limit(admission, entry);
        if (entry->item.missing && passed(entry))
            verdict = ADMISSION_NO_ITEM;
    }
    struct known_order row = entry->known.row;
    admission->verdict(entry, verdict, admission->arg); /* may free the entry */
    known_orders_free_row(&row);
}

static void ask_table(struct admission *admission, struct admission_entry *entry)
{
    entry->waits |= WAITS_FOR_TABLE;
    entry->table_asked = true;
    known_orders_ask(admission->known, &entry->known, entry->order_id);
}

static void table_answered(struct known_question *question, void *arg)
{
    struct admission_entry *entry =
        (struct admission_entry *)(void *)((char *)question -
                                           offsetof(struct admission_entry, known));
    entry->waits &= ~WAITS_FOR_TABLE;
    if (entry->waits == 0)
        conclude(arg, entry);
}

static void item_answered(struct item_question *question, void *arg)
{
    struct admission_entry *entry =
        (struct admission_entry *)(void *)((char *)question -
                                           offsetof(struct admission_entry, item));
    entry->waits &= ~WAITS_FOR_ITEM;
    if (entry->waits == 0)
        conclude(arg, entry);
}

static void redis_answered(struct admission *admission, struct admission_entry *entry,
                           enum admission_verdict verdict)
{
    bool repeat = verdict == ADMISSION_RETRY || verdict == ADMISSION_OTHER_BODY;
    bool may_repeat = verdict == ADMISSION_OPEN || verdict == ADMISSION_LIMITED;
    entry->redis_verdict = verdict;
    entry->waits &= ~WAITS_FOR_REDIS;
    if ((repeat || may_repeat) && !entry->table_asked)
        ask_table(admission, entry);
    if (entry->waits == 0)
        conclude(admission, entry);
}

/* Redis says nothing about the orders of a query. */
static void open_all(struct question *q)
{
    size_t count = q->count;
    q->count = 0;
    for (size_t i = 0; i < count; i++)
        redis_answered(q->admission, q->entries[i], ADMISSION_OPEN);
}

static void forget_question(struct admission *admission, struct question *q)
{
    struct question **at = &admission->asked_first;
    struct question *before = NULL;
    while (*at != q) {
        before = *at;
        at = &(*at)->next;
    }
    *at = q->next;
    if (admission->asked_last == q)
        admission->asked_last = before;
}

static void answered(const struct redis_reply *reply, void *arg);

static int send_question(struct question *q)
{
    struct admission *admission = q->admission;
    int code = redis_script_ask(admission->redis, admission->limits, q->entries, q->count,
                                admission->script_known, answered, q);
    if (code < 0)
        return code;
    admission->script_known = true;
    if (admission->asked_last == NULL)
        admission->asked_first = q;
    else
        admission->asked_last->next = q;
    q->next = NULL;
    admission->asked_last = q;
    return 0;
}

/* Asks with the whole script, where Redis has forgotten it. */
static bool asked_again(struct question *q, const struct redis_reply *reply)
{
    if (q->count == 0 || !redis_script_missing(reply))
        return false;
    q->admission->script_known = false;
    return send_question(q) == 0;
}

static void answered(const struct redis_reply *reply, void *arg)
{
    struct question *q = arg;
    struct admission *admission = q->admission;
    if (admission != NULL) {
        forget_question(admission, q);
        if (asked_again(q, reply))
            return;
        if (reply->type != REDIS_ARRAY || reply->count != q->count)
            open_all(q);
        for (size_t i = 0; i < q->count; i++)
            redis_answered(
                admission, q->entries[i],
                redis_script_verdict(admission->limits, &reply->items[i], q->entries[i]));
    }
    free(q);
}

/* ---- questions ---- */

static struct admission_entry *take_first(struct admission *admission)
{
    struct admission_entry *entry = admission->first;
    admission->first = entry->next;
    if (admission->first == NULL)
        admission->last = NULL;
    admission->waiting--;
    return entry;
}

static void give_back(struct admission *admission, struct question *q)
{
    while (q->count > 0) {
        struct admission_entry *entry = q->entries[--q->count];
        entry->next = admission->first;
        admission->first = entry;
        if (admission->last == NULL)
            admission->last = entry;
        admission->waiting++;
    }
}

/* PostgreSQL is asked beside Redis about items that are not known yet, and about new orders if
 * Redis cannot vouch for them. */
static void expect(struct admission *admission, struct question *q)
{
    bool vouches = redis_vouches(admission->vouch);
    for (size_t i = 0; i < q->count; i++) {
        struct admission_entry *entry = q->entries[i];
        entry->waits = WAITS_FOR_REDIS;
        if (known_items_ask(admission->items, &entry->item, entry->sku))
            entry->waits |= WAITS_FOR_ITEM;
        if (!vouches)
            ask_table(admission, entry);
    }
}

/* Asks about the first REDIS_SCRIPT_ORDERS_MAX entries, without a verdict of any; false: it could
 * not, and they still wait. */
static bool ask_some(struct admission *admission)
{
    if (!redis_is_up(admission->redis) || clock_mono_ms() < admission->slow_until_ms)
        return false;
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL)
        return false;
    q->admission = admission;
    q->asked_ms = clock_mono_ms();
    while (admission->first != NULL && q->count < REDIS_SCRIPT_ORDERS_MAX)
        q->entries[q->count++] = take_first(admission);
    if (send_question(q) < 0) {
        give_back(admission, q);
        free(q);
        return false;
    }
    expect(admission, q);
    if (!loop_timer_active(admission->late))
        loop_timer_start(admission->late, WAIT_MS, 0);
    redis_hurry(admission->redis);
    return true;
}

static void ask(void *arg)
{
    struct admission *admission = arg;
    while (admission->first != NULL)
        if (!ask_some(admission))
            for (int i = 0; i < REDIS_SCRIPT_ORDERS_MAX && admission->first != NULL; i++)
                redis_answered(admission, take_first(admission), ADMISSION_OPEN);
}

/* Lets those pass that have waited too long. */
static void on_late(void *arg)
{
    struct admission *admission = arg;
    uint64_t now_ms = clock_mono_ms();
    uint64_t next_ms = 0;
    for (struct question *q = admission->asked_first; q != NULL; q = q->next) {
        if (q->count == 0)
            continue;
        if (q->asked_ms + WAIT_MS > now_ms) {
            next_ms = q->asked_ms + WAIT_MS - now_ms;
            break;
        }
        log_warning("Redis is slow: admission lets all orders pass", LOG_INT("orders", q->count));
        admission->slow_until_ms = now_ms + SLOW_PAUSE_MS;
        open_all(q);
    }
    if (next_ms > 0)
        loop_timer_start(admission->late, next_ms, 0);
}

/* ---- */

struct admission *admission_new(struct loop *loop, const struct admission_options *options,
                                admission_verdict_cb verdict, void *arg)
{
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return NULL;
    admission->loop = loop;
    admission->redis = options->redis;
    admission->limits = options->limits;
    admission->verdict = verdict;
    admission->arg = arg;
    admission->vouch = redis_vouch_new(loop, options->redis, options->redis_vouches_after_ms,
                                       options->redis_vouching);
    admission->known = known_orders_new(loop, options->sessions, table_answered, admission);
    admission->items = known_items_new(loop, options->sessions, item_answered, admission);
    admission->soon = loop_deferred_new(loop, ask, admission);
    admission->late = loop_timer_new(loop, on_late, admission);
    if (admission->vouch == NULL || admission->known == NULL || admission->items == NULL ||
        admission->soon == NULL || admission->late == NULL) {
        admission_free(admission);
        return NULL;
    }
    return admission;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    for (struct question *q = admission->asked_first; q != NULL; q = q->next)
        q->admission = NULL; /* its answer, or the end of the connection, frees it */
    redis_vouch_free(admission->vouch);
    known_orders_free(admission->known);
    known_items_free(admission->items);
    loop_deferred_free(admission->soon);
    loop_timer_free(admission->late);
    free(admission);
}

void admission_redis_changed(struct admission *admission, bool up)
{
    admission->script_known = false;
    redis_vouch_connected(admission->vouch, up);
}

void admission_ask(struct admission *admission, struct admission_entry *entry)
{
    entry->next = NULL;
    entry->waits = 0;
    entry->table_asked = false;
    entry->counted_here = false;
    entry->known.row = (struct known_order){.fingerprint = NULL};
    entry->item.missing = false;
    if (admission->last == NULL)
        admission->first = entry;
    else
        admission->last->next = entry;
    admission->last = entry;
    admission->waiting++;
    bool full = admission->waiting % REDIS_SCRIPT_ORDERS_MAX == 0; /* so one that fails is rare */
    if (!full || !ask_some(admission))
        loop_defer(admission->soon); /* together with those that come in this turn */
}

void admission_take_back(struct admission *admission, const struct admission_entry *entry)
{
    if (passed(entry))
        redis_script_take_back(admission->redis, admission->limits, entry);
    else if (entry->counted_here)
        limits_put_back(admission->limits, &entry->names, entry->order_id);
}
