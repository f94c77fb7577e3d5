#include "producer/admission/admission.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/redis_keys.h"
#include "producer/admission/redis_vouch.h"

#define ASK_MAX 64        /* orders in one query to Redis, so that none waits for many others */
#define WAIT_MS 100       /* longest wait for an answer */
#define SLOW_PAUSE_MS 500 /* after that Redis is not asked for a while */
#define FIXED_ARGS 3      /* EVAL, script, number of keys */
#define KEY_SIZE (sizeof REDIS_KEY_SEEN + JOB_SKU_MAX)

#define SEEN_S REDIS_KEYS_TEXT(REDIS_KEY_SEEN_LIFE_S)
#define WAITS_FOR_REDIS 1U
#define WAITS_FOR_TABLE 2U
#define LOCK_MS REDIS_KEYS_TEXT(REDIS_KEY_LOCK_LIFE_MS)

/* For each order: KEYS its marker and its item's admission state; ARGV its fingerprint and id. */
static const char ask_script[] =
    "local out = {} "
    "for i = 1, #KEYS / 2 do "
    "  local seen, item, print, id = KEYS[2*i-1], KEYS[2*i], ARGV[2*i-1], ARGV[2*i] "
    "  local old = redis.call('SET', seen, print, 'NX', 'GET', 'EX', " SEEN_S ") "
    "  if old then out[i] = (old == print) and 1 or 2 else "
    "    local mode, state = string.match(redis.call('GET', item) or '', '^(%l+):(%l+)$') "
    "    out[i] = 0 "
    "    if state == 'sold' and mode ~= 'none' then out[i] = 3 "
    "    elseif mode == 'lock' then "
    "      local sku = string.sub(item, #'" REDIS_KEY_GATE "' + 1) "
    "      local lock = '" REDIS_KEY_LOCK "' .. sku "
    "      out[i] = 5 "
    "      if not redis.call('SET', lock, id, 'NX', 'PX', " LOCK_MS ") "
    "        and redis.call('GET', lock) ~= id then out[i] = 4 end "
    "    end "
    "    if out[i] == 3 or out[i] == 4 then redis.call('DEL', seen) end "
    "  end "
    "end "
    "return out";

/* An order that PostgreSQL knows: its marker is put right, and, if it is final, a lock that was
 * taken for it just now is released. ARGV: fingerprint, and the id whose lock goes, or "". */
static const char mend_script[] =
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', " SEEN_S ") "
    "if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end "
    "return 0";

static const char take_back_script[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end "
    "if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end "
    "return 0";

/* A query under way. Redis' answer, or the end of its connection, frees it. */
struct question {
    struct admission *admission; /* NULL: admission is gone */
    struct admission_entry *entries[ASK_MAX];
    size_t count; /* 0: no order waits any more */
    uint64_t asked_ms;
    struct question *next; /* in order of asking */
};

struct admission {
    struct loop *loop;
    struct redis *redis;
    struct redis_vouch *vouch;
    struct known_orders *known;
    admission_verdict_cb verdict;
    void *arg;
    struct admission_entry *first; /* not asked yet, in order */
    struct admission_entry *last;
    struct loop_deferred *soon;
    struct loop_timer *late;
    struct question *asked_first;
    struct question *asked_last;
    uint64_t slow_until_ms;
};

/* ---- answers ---- */

static void mend(struct admission *admission, const struct admission_entry *entry, bool same);

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
    case ADMISSION_KNOWN:
        return false;
    }
    return false;
}

/* Everybody who was asked has answered, or had the time to. */
static void conclude(struct admission *admission, struct admission_entry *entry)
{
    enum admission_verdict verdict = entry->redis_verdict;
    const char *fingerprint = entry->known.row.fingerprint;
    if (fingerprint != NULL) {
        bool same = strcmp(fingerprint, entry->fingerprint) == 0;
        verdict = same ? ADMISSION_KNOWN : ADMISSION_OTHER_BODY;
        if (!marker_right(entry, same))
            mend(admission, entry, same);
    }
    struct known_order row = entry->known.row;
    admission->verdict(entry, verdict, admission->arg); /* may free the entry */
    known_orders_free_row(&row);
}

static void ask_table(struct admission *admission, struct admission_entry *entry)
{
    entry->waits |= WAITS_FOR_TABLE;
    entry->table_asked = true;
    entry->known.order_id = entry->order_id;
    known_orders_ask(admission->known, &entry->known);
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

static void redis_answered(struct admission *admission, struct admission_entry *entry,
                           enum admission_verdict verdict)
{
    bool repeat = verdict == ADMISSION_RETRY || verdict == ADMISSION_OTHER_BODY;
    entry->redis_verdict = verdict;
    entry->waits &= ~WAITS_FOR_REDIS;
    if ((repeat || verdict == ADMISSION_OPEN) && !entry->table_asked)
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

static enum admission_verdict verdict_of(const struct redis_reply *item)
{
    static const enum admission_verdict verdicts[] = {ADMISSION_PASS,       ADMISSION_RETRY,
                                                      ADMISSION_OTHER_BODY, ADMISSION_SOLD_OUT,
                                                      ADMISSION_TAKEN,      ADMISSION_LOCKED};
    bool known = item->type == REDIS_INTEGER && item->integer >= 0 &&
                 (size_t)item->integer < ARRAY_LEN(verdicts);
    return known ? verdicts[item->integer] : ADMISSION_OPEN;
}

static void answered(const struct redis_reply *reply, void *arg)
{
    struct question *q = arg;
    struct admission *admission = q->admission;
    if (admission != NULL) {
        forget_question(admission, q);
        if (reply->type != REDIS_ARRAY || reply->count != q->count)
            open_all(q);
        for (size_t i = 0; i < q->count; i++)
            redis_answered(admission, q->entries[i], verdict_of(&reply->items[i]));
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
    return entry;
}

static void key(char *ret_key, const char **argv, size_t *argv_len, size_t *argc,
                const char *prefix, const char *name)
{
    int len = snprintf(ret_key, KEY_SIZE, "%s%s", prefix, name);
    argv[*argc] = ret_key;
    argv_len[(*argc)++] = (size_t)len;
}

static void text(const char **argv, size_t *argv_len, size_t *argc, const char *value)
{
    argv[*argc] = value;
    argv_len[(*argc)++] = strlen(value);
}

static int send_question(struct question *q)
{
    char keys[2 * ASK_MAX][KEY_SIZE];
    char count[8];
    const char *argv[FIXED_ARGS + 4 * ASK_MAX];
    size_t argv_len[FIXED_ARGS + 4 * ASK_MAX];
    size_t argc = 0;
    (void)snprintf(count, sizeof count, "%zu", 2 * q->count);
    text(argv, argv_len, &argc, "EVAL");
    text(argv, argv_len, &argc, ask_script);
    text(argv, argv_len, &argc, count);
    for (size_t i = 0; i < q->count; i++) {
        key(keys[2 * i], argv, argv_len, &argc, REDIS_KEY_SEEN, q->entries[i]->order_id);
        key(keys[2 * i + 1], argv, argv_len, &argc, REDIS_KEY_GATE, q->entries[i]->sku);
    }
    for (size_t i = 0; i < q->count; i++) {
        text(argv, argv_len, &argc, q->entries[i]->fingerprint);
        text(argv, argv_len, &argc, q->entries[i]->order_id);
    }
    return redis_command(q->admission->redis, argc, argv, argv_len, answered, q);
}

/* A Redis that cannot vouch for new orders is asked beside PostgreSQL. */
static void expect(struct admission *admission, struct question *q)
{
    bool vouches = redis_vouches(admission->vouch);
    for (size_t i = 0; i < q->count; i++) {
        q->entries[i]->waits = WAITS_FOR_REDIS;
        if (!vouches)
            ask_table(admission, q->entries[i]);
    }
}

/* Asks about the first ASK_MAX entries; false: it could not, and they still wait. */
static bool ask_some(struct admission *admission)
{
    if (!redis_is_up(admission->redis) || clock_mono_ms() < admission->slow_until_ms)
        return false;
    struct question *q = calloc(1, sizeof *q);
    if (q == NULL)
        return false;
    q->admission = admission;
    q->asked_ms = clock_mono_ms();
    while (admission->first != NULL && q->count < ASK_MAX)
        q->entries[q->count++] = take_first(admission);
    if (send_question(q) < 0) {
        open_all(q);
        free(q);
        return true;
    }
    expect(admission, q);
    if (admission->asked_last == NULL)
        admission->asked_first = q;
    else
        admission->asked_last->next = q;
    admission->asked_last = q;
    if (!loop_timer_active(admission->late))
        loop_timer_start(admission->late, WAIT_MS, 0);
    return true;
}

static void ask(void *arg)
{
    struct admission *admission = arg;
    while (admission->first != NULL)
        if (!ask_some(admission))
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
    admission->verdict = verdict;
    admission->arg = arg;
    admission->vouch = redis_vouch_new(loop, options->redis, options->redis_vouches_after_ms);
    admission->known = known_orders_new(loop, options->sessions, table_answered, admission);
    admission->soon = loop_deferred_new(loop, ask, admission);
    admission->late = loop_timer_new(loop, on_late, admission);
    if (admission->vouch == NULL || admission->known == NULL || admission->soon == NULL ||
        admission->late == NULL) {
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
    loop_deferred_free(admission->soon);
    loop_timer_free(admission->late);
    free(admission);
}

void admission_redis_changed(struct admission *admission, bool up)
{
    redis_vouch_connected(admission->vouch, up);
}

void admission_ask(struct admission *admission, struct admission_entry *entry)
{
    entry->next = NULL;
    entry->waits = 0;
    entry->table_asked = false;
    entry->known.row = (struct known_order){.fingerprint = NULL};
    if (admission->last == NULL)
        admission->first = entry;
    else
        admission->last->next = entry;
    admission->last = entry;
    loop_defer(admission->soon); /* together with those that come in this turn */
}

/* Both scripts take a marker and a lock, and what to compare or to set. */
static void run(struct admission *admission, const char *script,
                const struct admission_entry *entry, const char *fingerprint, const char *lock_id)
{
    char seen[KEY_SIZE];
    char lock[KEY_SIZE];
    const char *argv[FIXED_ARGS + 4];
    size_t argv_len[FIXED_ARGS + 4];
    size_t argc = 0;
    text(argv, argv_len, &argc, "EVAL");
    text(argv, argv_len, &argc, script);
    text(argv, argv_len, &argc, "2");
    key(seen, argv, argv_len, &argc, REDIS_KEY_SEEN, entry->order_id);
    key(lock, argv, argv_len, &argc, REDIS_KEY_LOCK, entry->sku);
    text(argv, argv_len, &argc, fingerprint);
    text(argv, argv_len, &argc, lock_id);
    if (redis_command(admission->redis, argc, argv, argv_len, NULL, NULL) < 0)
        log_debug("admission marker not changed; it expires by itself");
}

static void mend(struct admission *admission, const struct admission_entry *entry, bool same)
{
    bool unlock = entry->redis_verdict == ADMISSION_LOCKED && (entry->known.row.final || !same);
    run(admission, mend_script, entry, entry->known.row.fingerprint, unlock ? entry->order_id : "");
}

void admission_take_back(struct admission *admission, const struct admission_entry *entry)
{
    run(admission, take_back_script, entry, entry->fingerprint, entry->order_id);
}
