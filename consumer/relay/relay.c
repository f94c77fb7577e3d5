#include "consumer/relay/relay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/testing/failpoint.h"
#include "common/base/err.h"
#include "common/shop/event_row.h"
#include "common/base/log.h"
#include "common/testing/seeded_bug.h"

#define PAGE 256
#define SAVE_MS 250
#define RETRY_MS 500
#define EVENT_MAX 8192
#define CHANNEL_MAX 512
#define NUMBER_SIZE 24

enum { USER_ID = EVENT_ROW_COLUMNS };

struct lane {
    struct relay *relay;
    uint32_t shard;
    bool active;
    bool dirty;          /* there may be events past `mark` */
    bool busy;           /* a page is being read or published */
    bool failed;         /* … and not all of it arrived */
    uint64_t generation; /* counts starts and stops: an older page's answers are void */
    int64_t mark;        /* published up to here */
    int64_t saved;
    uint64_t
        stuck_since_ms; /* monotonic: events wait since then and none was relayed; 0: none wait */
    size_t unanswered;  /* publishes of this page */
    int64_t page_end;
    bool page_full;
};

/* One page on its way; lives until its last answer. */
struct page {
    struct lane *lane;
    uint64_t generation;
};

struct relay {
    uint32_t shards;
    struct db *session;
    struct kv *kv;
    struct gatekeys *keys;
    struct stats *stats;
    struct loop_timer *save;
    struct loop_timer *retry;
    struct buf message;
    struct lane lanes[];
};

static const struct db_statement unrelayed = {
    "unrelayed",
    "select event_id, sequence, time_ms, order_id, sku, quantity, status, reason, place_in_line,"
    "       amount, currency, reference, next_action, user_id"
    "  from checkout.unrelayed($1::integer, $2::bigint, $3::integer)",
    3};
static const struct db_statement advance = {
    "advance_relays", "select checkout.advance_relays($1::integer[], $2::bigint[])", 2};

static void read_page(struct lane *lane);

static void retry_due(void *arg)
{
    relay_kick_all(arg);
}

static void show_stuck(struct relay *relay)
{
    uint64_t now_ms = clock_mono_ms();
    for (uint32_t i = 0; i < relay->shards; i++) {
        struct lane *lane = &relay->lanes[i];
        if (relay_idle(relay, i))
            lane->stuck_since_ms = 0;
        else if (lane->stuck_since_ms == 0)
            lane->stuck_since_ms = now_ms;
        metric_set(relay->stats->of_shard[i].relay_stuck_seconds,
                   lane->stuck_since_ms == 0 ? 0 : (double)(now_ms - lane->stuck_since_ms) / 1000);
    }
}

static void save_due(void *arg)
{
    relay_save(arg);
    show_stuck(arg);
}

struct relay *relay_new(struct loop *loop, uint32_t shards, struct db *session, struct kv *kv,
                        struct gatekeys *keys, struct stats *stats)
{
    struct relay *relay = calloc(1, sizeof *relay + shards * sizeof relay->lanes[0]);
    if (relay == NULL)
        return NULL;
    relay->shards = shards;
    relay->session = session;
    relay->kv = kv;
    relay->keys = keys;
    relay->stats = stats;
    buf_init(&relay->message, EVENT_MAX);
    for (uint32_t i = 0; i < shards; i++)
        relay->lanes[i] = (struct lane){.relay = relay, .shard = i};
    relay->save = loop_timer_new(loop, save_due, relay);
    relay->retry = loop_timer_new(loop, retry_due, relay);
    if (relay->save == NULL || relay->retry == NULL) {
        relay_free(relay);
        return NULL;
    }
    loop_timer_start(relay->save, SAVE_MS, SAVE_MS);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    loop_timer_free(relay->save);
    loop_timer_free(relay->retry);
    buf_free(&relay->message);
    free(relay);
}

void relay_start(struct relay *relay, uint32_t shard, int64_t mark)
{
    struct lane *lane = &relay->lanes[shard];
    lane->generation++;
    lane->active = true;
    lane->busy = false;
    lane->dirty = true;
    lane->mark = mark;
    lane->saved = mark;
    gatekeys_serve(relay->keys, shard, true);
    read_page(lane);
}

void relay_stop(struct relay *relay, uint32_t shard)
{
    struct lane *lane = &relay->lanes[shard];
    lane->generation++;
    lane->active = false;
    lane->busy = false;
    lane->dirty = false;
    gatekeys_serve(relay->keys, shard, false);
}

void relay_kick(struct relay *relay, uint32_t shard)
{
    struct lane *lane = &relay->lanes[shard];
    if (!lane->active)
        return;
    lane->dirty = true;
    read_page(lane);
}

void relay_kick_all(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->shards; i++)
        relay_kick(relay, i);
}

bool relay_idle(const struct relay *relay, uint32_t shard)
{
    const struct lane *lane = &relay->lanes[shard];
    return !lane->active || (!lane->busy && !lane->dirty);
}

static void try_later(struct lane *lane)
{
    lane->busy = false;
    lane->dirty = true;
    struct loop_timer *retry = lane->relay->retry;
    if (!loop_timer_active(retry))
        loop_timer_start(retry, RETRY_MS, 0);
}

static void page_published(struct lane *lane)
{
    if (lane->failed) {
        try_later(lane);
        return;
    }
    CRASH_POINT(RELAY_PUBLISHED);
    lane->busy = false;
    lane->mark = lane->page_end;
    lane->stuck_since_ms = 0;
    if (lane->page_full)
        lane->dirty = true;
    read_page(lane);
}

static void published(const struct kv_reply *reply, void *arg)
{
    struct page *page = arg;
    struct lane *lane = page->lane;
    if (page->generation == lane->generation) {
        if (reply->type != KV_INTEGER)
            lane->failed = true;
        if (--lane->unanswered == 0)
            page_published(lane);
    }
    free(page);
}

static int publish(struct lane *lane, const struct db_result *result, int row)
{
    struct relay *relay = lane->relay;
    const struct event event = event_of_row(result, row);
    char channel[CHANNEL_MAX];
    int channel_len =
        snprintf(channel, sizeof channel, EVENT_CHANNEL_PREFIX "%s", db_text(result, row, USER_ID));
    buf_reset(&relay->message);
    int code = event_encode(&relay->message, &event);
    if (code < 0)
        return code;
    struct page *page = malloc(sizeof *page);
    if (page == NULL)
        return ERR_NOMEM;
    *page = (struct page){lane, lane->generation};
    const char *argv[] = {"PUBLISH", channel, buf_text(&relay->message)};
    const size_t lens[] = {7, (size_t)channel_len, relay->message.len};
    code = kv_command(relay->kv, 3, argv, lens, published, page);
    if (code < 0)
        free(page);
    else
        lane->unanswered++;
    gatekeys_saw(relay->keys, lane->shard, event.sku, event.order_id, event.status, event.reason);
    return code;
}

static void publish_page(struct lane *lane, const struct db_result *result)
{
    struct relay *relay = lane->relay;
    int rows = db_rows(result);
    lane->failed = false;
    PLANT(EARLY_MARK, lane->mark = db_int(result, rows - 1, EVENT_ROW_ID); relay_save(relay);
          plant_pause(30));
    CRASH_POINT(RELAY_READ);
    lane->unanswered = 1; /* ours, so that no answer ends the page before all are sent */
    for (int row = 0; row < rows && !lane->failed; row++)
        if (publish(lane, result, row) < 0)
            lane->failed = true;
    if (rows > 0 && !lane->failed) {
        lane->page_end = db_int(result, rows - 1, EVENT_ROW_ID);
        metric_add(relay->stats->events_relayed, rows);
        int64_t age_ms = clock_wall_ms() - db_int(result, 0, EVENT_ROW_TIME_MS);
        metric_observe(relay->stats->relay_seconds, age_ms < 0 ? 0 : (double)age_ms / 1000);
    }
    CRASH_POINT_SOON(RELAY_SENT);
    lane->page_full = rows == PAGE;
    if (--lane->unanswered == 0)
        page_published(lane);
}

static void page_read(const struct db_result *result, void *arg)
{
    struct page *page = arg;
    struct lane *lane = page->lane;
    bool stale = page->generation != lane->generation;
    free(page);
    if (stale)
        return;
    if (db_status(result) != DB_OK) {
        if (db_status(result) == DB_ERROR)
            log_error("events cannot be read", LOG_INT("shard", lane->shard),
                      LOG_STR("problem", db_message(result)));
        try_later(lane);
        return;
    }
    if (db_rows(result) == 0) {
        lane->busy = false;
        read_page(lane); /* if kicked meanwhile */
        return;
    }
    publish_page(lane, result);
}

/* Reads the next page past the mark, unless one is on its way or there is nothing new. */
static void read_page(struct lane *lane)
{
    struct relay *relay = lane->relay;
    if (!lane->active || lane->busy || !lane->dirty || !kv_is_up(relay->kv) ||
        !db_is_up(relay->session))
        return;
    struct page *page = malloc(sizeof *page);
    if (page == NULL) {
        try_later(lane);
        return;
    }
    *page = (struct page){lane, lane->generation};
    char shard[NUMBER_SIZE], mark[NUMBER_SIZE], limit[NUMBER_SIZE];
    (void)snprintf(shard, sizeof shard, "%u", lane->shard);
    (void)snprintf(mark, sizeof mark, "%" PRId64, lane->mark);
    (void)snprintf(limit, sizeof limit, "%d", PAGE);
    const char *params[] = {shard, mark, limit};
    if (db_query(relay->session, &unrelayed, params, page_read, page) < 0) {
        free(page);
        try_later(lane);
        return;
    }
    lane->busy = true;
    lane->dirty = false;
}

static void saved(const struct db_result *result, void *arg)
{
    (void)arg; /* a mark that was not written goes out with a later one, or is published again */
    CRASH_POINT(RELAY_MARK_SAVED);
    if (db_status(result) == DB_ERROR)
        log_error("the relay's marks cannot be written", LOG_STR("problem", db_message(result)));
}

void relay_save(struct relay *relay)
{
    struct buf shard_list, marks;
    buf_init(&shard_list, 64U * 1024);
    buf_init(&marks, 64U * 1024);
    db_array_begin(&shard_list);
    db_array_begin(&marks);
    bool any = false;
    for (uint32_t i = 0; i < relay->shards; i++) {
        struct lane *lane = &relay->lanes[i];
        if (lane->mark <= lane->saved)
            continue;
        db_array_int(&shard_list, i);
        db_array_int(&marks, lane->mark);
        any = true;
    }
    db_array_end(&shard_list);
    db_array_end(&marks);
    const char *params[] = {buf_text(&shard_list), buf_text(&marks)};
    if (any && db_is_up(relay->session) &&
        db_query(relay->session, &advance, params, saved, NULL) == 0) {
        for (uint32_t i = 0; i < relay->shards; i++)
            relay->lanes[i].saved = relay->lanes[i].mark;
        CRASH_POINT(RELAY_MARK_SENT);
    }
    buf_free(&shard_list);
    buf_free(&marks);
}
