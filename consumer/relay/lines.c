#include "consumer/relay/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"
#include "common/shop/line_news.h"
#include "common/shop/redis_keys.h"
#include "consumer/relay/pace.h"

#define TICK_MS 1000    /* one message for each line in this time, at most */
#define REFRESH_TICKS 5 /* a page of all lines is read so often */
#define PAGE 512        /* lines of one page, or of one tick */
#define ITEMS_MAX 4096
#define FORGET_MS 30000 /* a line that was not seen for so long is empty, or not ours any more */
#define CHANNEL_SIZE (sizeof REDIS_CHANNEL_LINE + JOB_SKU_MAX)
#define ARRAY_MAX ((size_t)64 * 1024)
#define NUMBER_SIZE 16
#define BEFORE_ALL (-1)

struct item {
    char sku[JOB_SKU_MAX + 1];
    bool moved; /* read it with the next tick */
    uint64_t seen_ms;
    struct pace pace;
    struct strmap_entry of_all;
};

struct lines {
    uint32_t shards;
    struct pg *session;
    struct redis *redis;
    struct stats *stats;
    struct loop_timer *tick;
    unsigned ticks;
    bool reading;
    bool paging;
    int64_t after_shard; /* the page before ended there */
    char after[JOB_SKU_MAX + 1];
    struct buf message;
    struct strmap items; /* by sku */
    bool serving[];
};

static const struct pg_statement read_lines = {
    "lines",
    "select sku, shard, head, next_ticket, waiting, behind_ms from checkout.lines($1::text[])", 1};
static const struct pg_statement read_page = {
    "page_of_lines",
    "select shard, sku from checkout.page_of_waitlists($1::integer[], $2::integer, $3::text,"
    " $4::integer) order by step",
    4};

enum column { SKU, SHARD, HEAD, NEXT, WAITING, BEHIND };
enum page_column { PAGE_SHARD, PAGE_SKU };

static struct item *find_or_add(struct lines *lines, const char *sku)
{
    size_t len = strlen(sku);
    struct item *item = STRMAP_OF(strmap_find(&lines->items, sku, len), struct item, of_all);
    if (item != NULL || lines->items.count == ITEMS_MAX || len > JOB_SKU_MAX)
        return item;
    item = calloc(1, sizeof *item);
    if (item == NULL)
        return NULL;
    (void)snprintf(item->sku, sizeof item->sku, "%s", sku);
    item->seen_ms = clock_mono_ms();
    if (strmap_add(&lines->items, &item->of_all, item->sku, len) < 0) {
        free(item);
        return NULL;
    }
    return item;
}

static void forget(struct lines *lines, struct item *item)
{
    strmap_remove(&lines->items, &item->of_all);
    free(item);
}

/* ---- what is published ---- */

static void publish(struct lines *lines, const struct item *item, const struct line_news *news)
{
    char channel[CHANNEL_SIZE];
    int channel_len = snprintf(channel, sizeof channel, REDIS_CHANNEL_LINE "%s", item->sku);
    buf_reset(&lines->message);
    if (line_news_encode(&lines->message, news) < 0)
        return;
    const char *argv[] = {"PUBLISH", channel, buf_text(&lines->message)};
    const size_t lens[] = {strlen("PUBLISH"), (size_t)channel_len, lines->message.len};
    if (redis_command(lines->redis, ARRAY_LEN(argv), argv, lens, NULL, NULL) == 0)
        metric_add(lines->stats->lines_published, 1);
}

static void take_row(struct lines *lines, const struct pg_result *result, int row)
{
    struct item *item = find_or_add(lines, pg_text(result, row, SKU));
    int64_t shard = pg_int(result, row, SHARD);
    struct line_news news = {.head = pg_int(result, row, HEAD),
                             .next = pg_int(result, row, NEXT),
                             .waiting = pg_int(result, row, WAITING),
                             .behind_ms = pg_null(result, row, BEHIND)
                                              ? LINE_CLOCK_STANDS
                                              : pg_int(result, row, BEHIND)};
    if (item == NULL)
        return;
    if (news.waiting == 0 || shard >= lines->shards || !lines->serving[shard]) {
        forget(lines, item);
        return;
    }
    item->seen_ms = clock_mono_ms();
    if (news.behind_ms == LINE_CLOCK_STANDS)
        pace_reset(&item->pace);
    else
        news.pace_ms = pace_see(&item->pace, line_news_left(&news), item->seen_ms);
    publish(lines, item, &news);
}

static void lines_read(const struct pg_result *result, void *arg)
{
    struct lines *lines = arg;
    lines->reading = false;
    if (pg_status(result) == PG_ERROR)
        log_error("lines not read", LOG_STR("problem", pg_message(result)));
    if (pg_status(result) != PG_OK)
        return;
    for (int row = 0; row < pg_rows(result); row++)
        take_row(lines, result, row);
}

/* ---- what is read ---- */

static void page_came(const struct pg_result *result, void *arg)
{
    struct lines *lines = arg;
    lines->paging = false;
    lines->after_shard = BEFORE_ALL;
    lines->after[0] = '\0';
    if (pg_status(result) != PG_OK)
        return;
    int rows = pg_rows(result);
    for (int row = 0; row < rows; row++) {
        int64_t shard = pg_int(result, row, PAGE_SHARD);
        if (shard >= 0 && shard < lines->shards && lines->serving[shard])
            lines_moved(lines, pg_text(result, row, PAGE_SKU));
    }
    if (rows < PAGE)
        return;
    lines->after_shard = pg_int(result, rows - 1, PAGE_SHARD);
    (void)snprintf(lines->after, sizeof lines->after, "%s", pg_text(result, rows - 1, PAGE_SKU));
}

static void ask_page(struct lines *lines)
{
    struct buf shard_list;
    bool any = false;
    buf_init(&shard_list, ARRAY_MAX);
    pg_array_begin(&shard_list);
    for (uint32_t i = 0; i < lines->shards; i++) {
        if (lines->serving[i])
            pg_array_int(&shard_list, i);
        any = any || lines->serving[i];
    }
    pg_array_end(&shard_list);
    char after_shard[NUMBER_SIZE];
    char page[NUMBER_SIZE];
    (void)snprintf(after_shard, sizeof after_shard, "%d", (int)lines->after_shard);
    (void)snprintf(page, sizeof page, "%d", PAGE);
    const char *params[] = {buf_text(&shard_list), after_shard, lines->after, page};
    if (any && !lines->paging && !shard_list.failed)
        lines->paging = pg_query(lines->session, &read_page, params, page_came, lines) == 0;
    buf_free(&shard_list);
}

/* Puts the items that moved into an array, PAGE of them; forgets what is not seen any more. */
static size_t take_moved(struct lines *lines, struct buf *skus)
{
    size_t count = 0;
    uint64_t now_ms = clock_mono_ms();
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&lines->items, NULL); e != NULL; e = next) {
        struct item *item = STRMAP_OF(e, struct item, of_all);
        next = strmap_next(&lines->items, e);
        if (item->moved && count < PAGE) {
            pg_array_text(skus, item->sku);
            item->moved = false;
            count++;
        } else if (!item->moved && now_ms - item->seen_ms > FORGET_MS) {
            forget(lines, item);
        }
    }
    return count;
}

static void ask_lines(struct lines *lines)
{
    struct buf skus;
    buf_init(&skus, ARRAY_MAX);
    pg_array_begin(&skus);
    size_t count = take_moved(lines, &skus);
    pg_array_end(&skus);
    const char *params[] = {buf_text(&skus)};
    if (count > 0 && !skus.failed)
        lines->reading = pg_query(lines->session, &read_lines, params, lines_read, lines) == 0;
    buf_free(&skus);
}

static void tick_due(void *arg)
{
    struct lines *lines = arg;
    if (!redis_is_up(lines->redis) || !pg_is_up(lines->session) || lines->reading)
        return;
    ask_lines(lines);
    if (lines->ticks++ % REFRESH_TICKS == 0)
        ask_page(lines); /* its lines come with the next tick */
}

/* ---- */

struct lines *lines_new(struct loop *loop, uint32_t shards, struct pg *session, struct redis *redis,
                        struct stats *stats)
{
    struct lines *lines = calloc(1, sizeof *lines + shards * sizeof lines->serving[0]);
    if (lines == NULL)
        return NULL;
    lines->shards = shards;
    lines->session = session;
    lines->redis = redis;
    lines->stats = stats;
    lines->after_shard = BEFORE_ALL;
    buf_init(&lines->message, LINE_NEWS_MAX);
    lines->tick = loop_timer_new(loop, tick_due, lines);
    if (lines->tick == NULL) {
        lines_free(lines);
        return NULL;
    }
    loop_timer_start(lines->tick, TICK_MS, TICK_MS);
    return lines;
}

void lines_free(struct lines *lines)
{
    if (lines == NULL)
        return;
    struct strmap_entry *next;
    for (struct strmap_entry *e = strmap_next(&lines->items, NULL); e != NULL; e = next) {
        next = strmap_next(&lines->items, e);
        forget(lines, STRMAP_OF(e, struct item, of_all));
    }
    strmap_free(&lines->items);
    loop_timer_free(lines->tick);
    buf_free(&lines->message);
    free(lines);
}

void lines_serve(struct lines *lines, uint32_t shard, bool serving)
{
    lines->serving[shard] = serving;
    if (serving)
        lines->ticks = 0; /* its lines are read soon */
}

void lines_moved(struct lines *lines, const char *sku)
{
    struct item *item = find_or_add(lines, sku);
    if (item != NULL)
        item->moved = true;
}
