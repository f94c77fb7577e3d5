#include "consumer/shard/admission_heal.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/shop/ids.h"
#include "common/shop/redis_keys.h"

#define PAGE 256
#define BEFORE_ALL "-1"
#define KEY_SIZE (sizeof REDIS_KEY_GATE + JOB_SKU_MAX)

/* No row: the order has not ended, as far as is known. */
static const struct pg_statement ended_lock = {
    "ended_lock",
    "select o.sku, o.order_id from checkout.orders o where o.order_id = case when $1::text ~"
    " '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then $1::text::uuid end"
    " and o.status in ('confirmed', 'rejected', 'cancelled', 'refunded')",
    1};
static const struct pg_statement page_of_items = {
    "page_of_items",
    "select sku, shard, own from checkout.page_of_items($1::integer[], $2::integer, $3::text, "
    "$4::integer)",
    4};

enum column { SKU, SHARD, OWN };

static const char release_script[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 0";
static const char gate_script[] =
    "local left = redis.call('PTTL', KEYS[1]) "
    "if left == -1 or left > tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end return 0";
static const char lock_script[] =
    "if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end "
    "return redis.call('GET', KEYS[1])";

static void script(struct admission_heal *heal, const char *text, const char *prefix,
                   const char *sku, const char *argument, redis_reply_cb cb)
{
    char key[KEY_SIZE];
    (void)snprintf(key, sizeof key, "%s%s", prefix, sku);
    const char *argv[] = {"EVAL", text, "1", key, argument};
    size_t lens[] = {strlen("EVAL"), strlen(text), 1, strlen(key), strlen(argument)};
    if (redis_command(heal->redis, 5, argv, lens, cb, heal) < 0)
        log_debug("admission key not looked at; it expires, and admission lets orders pass");
}

void admission_heal_release(struct admission_heal *heal, const char *sku, const char *order_id)
{
    script(heal, release_script, REDIS_KEY_LOCK, sku, order_id, NULL);
}

static void end_read(const struct pg_result *result, void *arg)
{
    struct admission_heal *heal = arg;
    if (pg_status(result) == PG_OK && pg_rows(result) > 0)
        admission_heal_release(heal, pg_text(result, 0, 0), pg_text(result, 0, 1));
}

static void lock_read(const struct redis_reply *reply, void *arg)
{
    struct admission_heal *heal = arg;
    char id[IDS_ORDER_SIZE];
    if (reply->type != REDIS_STRING || reply->len >= sizeof id)
        return;
    memcpy(id, reply->str, reply->len);
    id[reply->len] = '\0';
    const char *params[] = {id};
    if (pg_query(heal->session, &ended_lock, params, end_read, heal) < 0)
        log_debug("lock of an item not looked at; it expires");
}

void admission_heal_lock(struct admission_heal *heal, const char *sku)
{
    script(heal, lock_script, REDIS_KEY_LOCK, sku, REDIS_KEYS_TEXT(REDIS_KEY_LOCK_LIFE_MS),
           lock_read);
}

static void gate_read(const struct redis_reply *reply, void *arg)
{
    struct admission_heal *heal = arg;
    if (reply->type != REDIS_INTEGER || reply->integer == 0)
        return;
    metric_add(heal->foreign, 1);
    log_warning("deleted an item's state in Redis that we did not write");
}

static void page_read(const struct pg_result *result, void *arg)
{
    struct admission_heal *heal = arg;
    heal->asking = false;
    if (pg_status(result) != PG_OK)
        return;
    int rows = pg_rows(result);
    for (int row = 0; row < rows; row++)
        if (pg_bool(result, row, OWN))
            script(heal, gate_script, REDIS_KEY_GATE, pg_text(result, row, SKU),
                   REDIS_KEYS_TEXT(REDIS_KEY_GATE_LIFE_MS), gate_read);
    bool last = rows < PAGE;
    (void)snprintf(heal->after_shard, sizeof heal->after_shard, "%s",
                   last ? BEFORE_ALL : pg_text(result, rows - 1, SHARD));
    (void)snprintf(heal->after, sizeof heal->after, "%s",
                   last ? "" : pg_text(result, rows - 1, SKU));
}

void admission_heal_page(struct admission_heal *heal, const char *shards)
{
    const char *behind = heal->after_shard[0] == '\0' ? BEFORE_ALL : heal->after_shard;
    char limit[16];
    (void)snprintf(limit, sizeof limit, "%d", PAGE);
    const char *params[] = {shards, behind, heal->after, limit};
    if (!heal->asking)
        heal->asking = pg_query(heal->session, &page_of_items, params, page_read, heal) == 0;
}
