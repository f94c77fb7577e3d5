#include "consumer/shard/admission_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"
#include "common/shop/redis_keys.h"
#include "common/shop/status.h"
#include "consumer/shard/admission_heal.h"

#define RENEW_MS 2000 /* so that a key does not lapse if one round fails */
#define SOON_MS 100   /* for items that have just sold out: so often at most */
#define ITEMS_MAX 4096
#define LOCKS_OF_ROUND 256
#define KEY_SIZE (sizeof REDIS_KEY_GATE + JOB_SKU_MAX)
#define VALUE_SIZE 32
#define ARRAY_MAX ((size_t)512 * 1024)

struct item {
    char sku[JOB_SKU_MAX + 1];
    uint32_t shard;
    bool locks;     /* its admission is `lock` */
    bool written;   /* a key of it may exist */
    uint64_t round; /* the query that covers it; an older one: forget the item */
    struct strmap_entry of_all;
};

struct admission_keys {
    uint32_t shards;
    struct pg *session;
    struct redis *redis;
    struct loop_timer *renew;
    struct loop_timer *soon;
    bool asking;
    bool again; /* requested meanwhile */
    uint64_t round;
    struct admission_heal heal;
    struct strmap items; /* by sku */
    bool serving[];
};

static const struct pg_statement gate_states = {
    "gate_states",
    "select sku, shard, gate, state from checkout.gate_states($1::integer[], $2::text[],"
    " $3::integer)",
    3};

enum column { SKU, SHARD, GATE, STATE };

static struct item *find(struct admission_keys *keys, const char *sku)
{
    return STRMAP_OF(strmap_find(&keys->items, sku, strlen(sku)), struct item, of_all);
}

/* NULL: no room, or no memory; then admission lets its orders pass. */
static struct item *find_or_add(struct admission_keys *keys, const char *sku, uint32_t shard)
{
    struct item *item = find(keys, sku);
    if (item != NULL || keys->items.count == ITEMS_MAX || strlen(sku) > JOB_SKU_MAX)
        return item;
    item = calloc(1, sizeof *item);
    if (item == NULL)
        return NULL;
    (void)snprintf(item->sku, sizeof item->sku, "%s", sku);
    item->shard = shard;
    if (strmap_add(&keys->items, &item->of_all, item->sku, strlen(sku)) < 0) {
        free(item);
        return NULL;
    }
    return item;
}

static void forget(struct admission_keys *keys, struct item *item)
{
    strmap_remove(&keys->items, &item->of_all);
    free(item);
}

/* ---- Redis ---- */

static void command(struct admission_keys *keys, size_t argc, const char *const *argv)
{
    size_t lens[5];
    for (size_t i = 0; i < argc; i++)
        lens[i] = strlen(argv[i]);
    if (redis_command(keys->redis, argc, argv, lens, NULL, NULL) < 0)
        log_debug("admission key not written; it expires, and admission lets orders pass");
}

static void write_key(struct admission_keys *keys, struct item *item, const char *gate,
                      const char *state)
{
    char key[KEY_SIZE], value[VALUE_SIZE];
    (void)snprintf(key, sizeof key, REDIS_KEY_GATE "%s", item->sku);
    (void)snprintf(value, sizeof value, "%s:%s", gate, state);
    const char *argv[] = {"SET", key, value, "PX", REDIS_KEYS_TEXT(REDIS_KEY_GATE_LIFE_MS)};
    command(keys, ARRAY_LEN(argv), argv);
    item->written = true;
}

static void delete_key(struct admission_keys *keys, struct item *item)
{
    char key[KEY_SIZE];
    (void)snprintf(key, sizeof key, REDIS_KEY_GATE "%s", item->sku);
    const char *argv[] = {"DEL", key};
    command(keys, ARRAY_LEN(argv), argv);
    item->written = false;
}

/* ---- rounds ---- */

static void take_row(struct admission_keys *keys, const struct pg_result *result, int row)
{
    const char *gate = pg_text(result, row, GATE);
    const char *state = pg_text(result, row, STATE);
    uint32_t shard = (uint32_t)pg_int(result, row, SHARD);
    struct item *item = find_or_add(keys, pg_text(result, row, SKU), shard);
    if (item == NULL || shard >= keys->shards || !keys->serving[shard])
        return;
    bool sold = strcmp(state, "sold") == 0;
    item->locks = strcmp(gate, "lock") == 0;
    if (item->locks || (sold && strcmp(gate, "soldout") == 0)) {
        if (item->round < keys->round)
            item->round = keys->round;
        write_key(keys, item, gate, state);
    } else if (item->written) {
        delete_key(keys, item);
    }
}

/* A part of them in each round, all in turn. */
static void look_at_locks(struct admission_keys *keys, const struct pg_result *result)
{
    uint64_t parts = (uint64_t)pg_rows(result) / LOCKS_OF_ROUND + 1;
    for (int row = 0; row < pg_rows(result); row++) {
        uint32_t shard = (uint32_t)pg_int(result, row, SHARD);
        if ((uint64_t)row % parts == keys->round % parts &&
            strcmp(pg_text(result, row, GATE), "lock") == 0 && shard < keys->shards &&
            keys->serving[shard])
            admission_heal_lock(&keys->heal, pg_text(result, row, SKU));
    }
}

static void forget_old(struct admission_keys *keys)
{
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&keys->items, NULL); e != NULL; e = next) {
        struct item *item = STRMAP_OF(e, struct item, of_all);
        next = strmap_next(&keys->items, e);
        if (item->round < keys->round || !keys->serving[item->shard])
            forget(keys, item);
    }
}

static void states_read(const struct pg_result *result, void *arg)
{
    struct admission_keys *keys = arg;
    keys->asking = false;
    if (pg_status(result) == PG_LOST)
        return;
    if (pg_status(result) == PG_ERROR) {
        log_error("admission states not read", LOG_STR("problem", pg_message(result)));
        return;
    }
    for (int row = 0; row < pg_rows(result); row++)
        take_row(keys, result, row);
    look_at_locks(keys, result);
    forget_old(keys);
    if (keys->again)
        loop_timer_start(keys->soon, SOON_MS, 0);
    keys->again = false;
}

static bool put_shards(const struct admission_keys *keys, struct buf *array)
{
    bool any = false;
    pg_array_begin(array);
    for (uint32_t i = 0; i < keys->shards; i++) {
        if (!keys->serving[i])
            continue;
        pg_array_int(array, i);
        any = true;
    }
    pg_array_end(array);
    return any;
}

static void put_items(const struct admission_keys *keys, struct buf *array)
{
    pg_array_begin(array);
    for (struct strmap_entry *e = strmap_next(&keys->items, NULL); e != NULL;
         e = strmap_next(&keys->items, e)) {
        const struct item *item = STRMAP_OF(e, struct item, of_all);
        if (!item->locks)
            pg_array_text(array, item->sku);
    }
    pg_array_end(array);
}

static void ask(void *arg)
{
    struct admission_keys *keys = arg;
    if (keys->asking || !redis_is_up(keys->redis) || !pg_is_up(keys->session)) {
        keys->again = keys->asking;
        return;
    }
    struct buf shard_list, skus;
    buf_init(&shard_list, ARRAY_MAX);
    buf_init(&skus, ARRAY_MAX);
    bool any = put_shards(keys, &shard_list);
    put_items(keys, &skus);
    char limit[16];
    (void)snprintf(limit, sizeof limit, "%d", ITEMS_MAX);
    const char *params[] = {buf_text(&shard_list), buf_text(&skus), limit};
    if (any && !shard_list.failed && !skus.failed &&
        pg_query(keys->session, &gate_states, params, states_read, keys) == 0) {
        keys->asking = true;
        keys->round++;
        admission_heal_page(&keys->heal, buf_text(&shard_list));
    }
    buf_free(&shard_list);
    buf_free(&skus);
}

/* ---- */

struct admission_keys *admission_keys_new(struct loop *loop, uint32_t shards, struct pg *session,
                                          struct redis *redis, struct metric *foreign)
{
    struct admission_keys *keys = calloc(1, sizeof *keys + shards * sizeof keys->serving[0]);
    if (keys == NULL)
        return NULL;
    keys->shards = shards;
    keys->session = session;
    keys->redis = redis;
    keys->heal = (struct admission_heal){.session = session, .redis = redis, .foreign = foreign};
    keys->renew = loop_timer_new(loop, ask, keys);
    keys->soon = loop_timer_new(loop, ask, keys);
    if (keys->renew == NULL || keys->soon == NULL) {
        admission_keys_free(keys);
        return NULL;
    }
    loop_timer_start(keys->renew, RENEW_MS, RENEW_MS);
    return keys;
}

void admission_keys_free(struct admission_keys *keys)
{
    if (keys == NULL)
        return;
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&keys->items, NULL); e != NULL; e = next) {
        next = strmap_next(&keys->items, e);
        forget(keys, STRMAP_OF(e, struct item, of_all));
    }
    strmap_free(&keys->items);
    loop_timer_free(keys->renew);
    loop_timer_free(keys->soon);
    free(keys);
}

void admission_keys_serve(struct admission_keys *keys, uint32_t shard, bool serving)
{
    keys->serving[shard] = serving;
}

void admission_keys_saw(struct admission_keys *keys, uint32_t shard, const char *sku,
                        const char *order_id, const char *status, const char *reason)
{
    if (sku == NULL || sku[0] == '\0')
        return;
    struct item *item = find(keys, sku);
    if (item != NULL && item->locks && order_state_final(order_state_of(status)))
        admission_heal_release(&keys->heal, sku, order_id);
    if (item != NULL || order_reason_of(reason) != ORDER_REASON_SOLD_OUT)
        return;
    item = find_or_add(keys, sku, shard);
    if (item == NULL)
        return;
    item->round = keys->round + 1; /* the next query covers it */
    if (!loop_timer_active(keys->soon))
        loop_timer_start(keys->soon, SOON_MS, 0);
}

void admission_keys_changed(struct admission_keys *keys, const char *sku)
{
    struct item *item = find(keys, sku);
    if (item == NULL)
        return;
    item->round = keys->round + 1;
    ask(keys);
}
