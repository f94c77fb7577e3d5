#include "consumer/relay/relay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/service/spans.h"
#include "common/shop/event_row.h"
#include "common/shop/redis_keys.h"
#include "common/shop/status.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

#define PAGE 256
#define SAVE_MS 250
#define RETRY_MS 500
#define EVENT_MAX 8192
#define CHANNEL_MAX 512
#define NUMBER_SIZE 24

enum { USER_ID = EVENT_ROW_COLUMNS, ACCEPTED_MS };

struct relay_shard {
    struct relay *relay;
    uint32_t shard;
    bool active;
    bool dirty;          /* there may be events past `watermark` */
    bool busy;           /* a page is being read or published */
    bool failed;         /* … and a part of it did not arrive */
    uint64_t generation; /* counts starts and stops: an older page's answers are void */
    int64_t watermark;   /* published up to here */
    int64_t saved;
    int64_t announced;       /* the newest published by us; 0: none was */
    int64_t counted;         /* events up to here are in the metrics */
    uint64_t stuck_since_ms; /* monotonic: events wait since then without progress; 0: none wait */
    size_t unanswered;       /* publishes of this page */
    int64_t page_end;
    bool page_full;
};

/* One page under way, or an event of it; lives until its last answer. */
struct page {
    struct relay_shard *part;
    uint64_t generation;
    struct span_mark span; /* of an event */
    enum order_state state;
    char order_id[IDS_ORDER_SIZE];
};

struct relay {
    uint32_t shards;
    struct pg *session;
    struct redis *redis;
    struct admission_keys *keys;
    struct stats *stats;
    bool ends_open_orders;
    struct lines *lines; /* NULL: they are not reported */
    struct loop_timer *save;
    struct loop_timer *retry;
    struct buf message;
    struct relay_shard of_shard[];
};

static const struct pg_statement unrelayed = {
    "unrelayed",
    "select event_id, sequence, time_ms, order_id, sku, quantity, status, reason, place_in_line,"
    "       amount, currency, reference, next_action, payment_problem, param, traceparent,"
    "       user_id,"
    "       (select (extract(epoch from o.accepted_at) * 1000)::bigint"
    "          from checkout.orders o where o.order_id = u.order_id)"
    "  from checkout.unrelayed($1::integer, $2::bigint, $3::integer) u",
    3};
static const struct pg_statement advance = {
    "advance_relays", "select checkout.advance_relays($1::integer[], $2::bigint[])", 2};

static void read_page(struct relay_shard *part);

static void retry_due(void *arg)
{
    relay_kick_all(arg);
}

static void show_stuck(struct relay *relay)
{
    uint64_t now_ms = clock_mono_ms();
    for (uint32_t i = 0; i < relay->shards; i++) {
        struct relay_shard *part = &relay->of_shard[i];
        if (relay_idle(relay, i))
            part->stuck_since_ms = 0;
        else if (part->stuck_since_ms == 0)
            part->stuck_since_ms = now_ms;
        metric_set(relay->stats->of_shard[i].relay_stuck_seconds,
                   part->stuck_since_ms == 0 ? 0 : (double)(now_ms - part->stuck_since_ms) / 1000);
    }
}

static void save_due(void *arg)
{
    relay_save(arg);
    show_stuck(arg);
}

struct relay *relay_new(struct loop *loop, uint32_t shards, struct pg *session, struct redis *redis,
                        struct admission_keys *keys, struct stats *stats)
{
    struct relay *relay = calloc(1, sizeof *relay + shards * sizeof relay->of_shard[0]);
    if (relay == NULL)
        return NULL;
    relay->shards = shards;
    relay->session = session;
    relay->redis = redis;
    relay->keys = keys;
    relay->stats = stats;
    buf_init(&relay->message, EVENT_MAX);
    for (uint32_t i = 0; i < shards; i++)
        relay->of_shard[i] = (struct relay_shard){.relay = relay, .shard = i};
    relay->save = loop_timer_new(loop, save_due, relay);
    relay->retry = loop_timer_new(loop, retry_due, relay);
    if (relay->save == NULL || relay->retry == NULL) {
        relay_free(relay);
        return NULL;
    }
    loop_timer_start(relay->save, SAVE_MS, SAVE_MS);
    return relay;
}

void relay_ends_open_orders(struct relay *relay)
{
    relay->ends_open_orders = true;
}

void relay_tells_lines(struct relay *relay, struct lines *lines)
{
    relay->lines = lines;
}

static void serve(const struct relay *relay, uint32_t shard, bool serving)
{
    admission_keys_serve(relay->keys, shard, serving);
    if (relay->lines != NULL)
        lines_serve(relay->lines, shard, serving);
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

void relay_start(struct relay *relay, uint32_t shard, int64_t watermark)
{
    struct relay_shard *part = &relay->of_shard[shard];
    part->generation++;
    part->active = true;
    part->busy = false;
    part->dirty = true;
    part->watermark = watermark;
    part->saved = watermark;
    part->counted = watermark;
    serve(relay, shard, true);
    read_page(part);
}

void relay_stop(struct relay *relay, uint32_t shard)
{
    struct relay_shard *part = &relay->of_shard[shard];
    part->generation++;
    part->active = false;
    part->busy = part->dirty = false;
    part->watermark = part->saved; /* what was not written goes out again, from its next owner */
    serve(relay, shard, false);
}

void relay_kick(struct relay *relay, uint32_t shard)
{
    struct relay_shard *part = &relay->of_shard[shard];
    if (!part->active)
        return;
    part->dirty = true;
    read_page(part);
}

void relay_kick_all(struct relay *relay)
{
    for (uint32_t i = 0; i < relay->shards; i++)
        relay_kick(relay, i);
}

bool relay_idle(const struct relay *relay, uint32_t shard)
{
    const struct relay_shard *part = &relay->of_shard[shard];
    return !part->active || (!part->busy && !part->dirty);
}

int64_t relay_announced(const struct relay *relay, uint32_t shard)
{
    return relay->of_shard[shard].announced;
}

static void try_later(struct relay_shard *part)
{
    part->busy = false;
    part->dirty = true;
    struct loop_timer *retry = part->relay->retry;
    if (!loop_timer_active(retry))
        loop_timer_start(retry, RETRY_MS, 0);
}

static void page_published(struct relay_shard *part)
{
    if (part->failed) {
        try_later(part);
        return;
    }
    FAILPOINT(RELAY_PUBLISHED);
    part->busy = false;
    part->watermark = part->page_end;
    part->announced = part->page_end;
    part->stuck_since_ms = 0;
    if (part->page_full)
        part->dirty = true;
    read_page(part);
}

static void begin_span(struct page *page, const struct event *event)
{
    struct spans *spans = page->part->relay->stats->spans;
    page->span.on = false;
    if (spans == NULL || event->traceparent == NULL ||
        !spans_begin(spans, event->order_id, event->traceparent, &page->span))
        return;
    page->state = order_state_of(event->status);
    (void)snprintf(page->order_id, sizeof page->order_id, "%s", event->order_id);
}

static void end_span(struct page *page, bool arrived)
{
    if (!page->span.on)
        return;
    struct span *span = spans_end(page->part->relay->stats->spans, &page->span, "publish event",
                                  SPAN_PRODUCER, page->order_id);
    span_text(span, "messaging.system", "redis");
    span_text(span, "messaging.operation.type", "send");
    span_text(span, "checkout.order.status", order_state_word(page->state));
    span_fail(span, !arrived);
}

static void published(const struct redis_reply *reply, void *arg)
{
    struct page *page = arg;
    struct relay_shard *part = page->part;
    end_span(page, reply->type == REDIS_INTEGER);
    if (page->generation == part->generation) {
        if (reply->type != REDIS_INTEGER)
            part->failed = true;
        if (--part->unanswered == 0)
            page_published(part);
    }
    free(page);
}

/* Once, also where it is published again. Both times are the database's. */
static void count(struct relay_shard *part, const struct event *event, int64_t accepted_ms)
{
    if (event->id <= part->counted)
        return;
    part->counted = event->id;
    const struct stats_event counted = {.sequence = event->sequence,
                                        .status = event->status,
                                        .after_ms = event->time_ms - accepted_ms,
                                        .currency = event->currency,
                                        .amount = event->amount};
    stats_event(part->relay->stats, &counted);
}

/* If that is lost, it counts until its time in Redis has passed. */
static void end_open_order(const struct relay *relay, const char *user, const struct event *event)
{
    char key[CHANNEL_MAX];
    if (!relay->ends_open_orders || !order_state_final(order_state_of(event->status)))
        return;
    int len = snprintf(key, sizeof key, REDIS_KEY_OPEN "%s", user);
    const char *argv[] = {"ZREM", key, event->order_id};
    const size_t lens[] = {4, (size_t)len, strlen(event->order_id)};
    if (redis_command(relay->redis, 3, argv, lens, NULL, NULL) < 0)
        log_debug("open order not removed; it expires by itself");
}

/* An order joins the line of its item, or leaves it: only who waited has had an event before. */
static void tell_line(const struct relay *relay, const struct event *event)
{
    enum order_state state = order_state_of(event->status);
    if (relay->lines != NULL && event->sku != NULL &&
        (state == ORDER_STATE_WAITING ||
         (event->sequence > 1 && (state == ORDER_STATE_RESERVED || state == ORDER_STATE_REJECTED ||
                                  state == ORDER_STATE_CANCELLED))))
        lines_moved(relay->lines, event->sku);
}

static int publish(struct relay_shard *part, const struct pg_result *result, int row)
{
    struct relay *relay = part->relay;
    const struct event event = event_of_row(result, row);
    char channel[CHANNEL_MAX];
    count(part, &event, pg_int(result, row, ACCEPTED_MS));
    int channel_len =
        snprintf(channel, sizeof channel, REDIS_CHANNEL_EVENTS "%s", pg_text(result, row, USER_ID));
    buf_reset(&relay->message);
    int code = event_encode(&relay->message, &event);
    if (code < 0)
        return code;
    struct page *page = malloc(sizeof *page);
    if (page == NULL)
        return ERR_NOMEM;
    page->part = part;
    page->generation = part->generation;
    begin_span(page, &event);
    const char *argv[] = {"PUBLISH", channel, buf_text(&relay->message)};
    const size_t lens[] = {7, (size_t)channel_len, relay->message.len};
    code = redis_command(relay->redis, 3, argv, lens, published, page);
    if (code < 0)
        free(page);
    else
        part->unanswered++;
    end_open_order(relay, pg_text(result, row, USER_ID), &event);
    tell_line(relay, &event);
    admission_keys_saw(relay->keys, part->shard, event.sku, event.order_id, event.status,
                       event.reason);
    return code;
}

static void publish_page(struct relay_shard *part, const struct pg_result *result)
{
    struct relay *relay = part->relay;
    int rows = pg_rows(result);
    part->failed = false;
    SEEDED_BUG(EARLY_WATERMARK, part->watermark = pg_int(result, rows - 1, EVENT_ROW_ID);
               relay_save(relay); seeded_bug_pause(30));
    FAILPOINT(RELAY_READ);
    part->unanswered = 1; /* our own count, so that no answer ends the page before all are sent */
    for (int row = 0; row < rows && !part->failed; row++)
        if (publish(part, result, row) < 0)
            part->failed = true;
    if (rows > 0 && !part->failed) {
        part->page_end = pg_int(result, rows - 1, EVENT_ROW_ID);
        metric_add(relay->stats->events_relayed, rows);
        int64_t age_ms = clock_wall_ms() - pg_int(result, 0, EVENT_ROW_TIME_MS);
        metric_observe(relay->stats->relay_seconds, age_ms < 0 ? 0 : (double)age_ms / 1000);
    }
    FAILPOINT_SOON(RELAY_SENT);
    part->page_full = rows == PAGE;
    if (--part->unanswered == 0)
        page_published(part);
}

static void page_read(const struct pg_result *result, void *arg)
{
    struct page *page = arg;
    struct relay_shard *part = page->part;
    bool stale = page->generation != part->generation;
    free(page);
    if (stale)
        return;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("events not read", LOG_INT("shard", part->shard),
                      LOG_STR("problem", pg_message(result)));
        try_later(part);
        return;
    }
    if (pg_rows(result) == 0) {
        part->busy = false;
        read_page(part); /* if there was a kick meanwhile */
        return;
    }
    publish_page(part, result);
}

/* Reads the next page past the watermark, unless one is under way or there is nothing new. */
static void read_page(struct relay_shard *part)
{
    struct relay *relay = part->relay;
    if (!part->active || part->busy || !part->dirty || !redis_is_up(relay->redis) ||
        !pg_is_up(relay->session))
        return;
    struct page *page = malloc(sizeof *page);
    if (page == NULL) {
        try_later(part);
        return;
    }
    page->part = part;
    page->generation = part->generation;
    char shard[NUMBER_SIZE], watermark[NUMBER_SIZE], limit[NUMBER_SIZE];
    (void)snprintf(shard, sizeof shard, "%u", part->shard);
    (void)snprintf(watermark, sizeof watermark, "%" PRId64, part->watermark);
    (void)snprintf(limit, sizeof limit, "%d", PAGE);
    const char *params[] = {shard, watermark, limit};
    if (pg_query(relay->session, &unrelayed, params, page_read, page) < 0) {
        free(page);
        try_later(part);
        return;
    }
    part->busy = true;
    part->dirty = false;
}

static void saved(const struct pg_result *result, void *arg)
{
    (void)arg; /* a later write has what was not written, or its events go out again */
    FAILPOINT(RELAY_WATERMARK_SAVED);
    if (pg_status(result) == PG_ERROR)
        log_error("watermarks of the relay not written", LOG_STR("problem", pg_message(result)));
}

void relay_save(struct relay *relay)
{
    struct buf shard_list, watermarks;
    buf_init(&shard_list, (size_t)64 * 1024);
    buf_init(&watermarks, (size_t)64 * 1024);
    pg_array_begin(&shard_list);
    pg_array_begin(&watermarks);
    bool any = false;
    for (uint32_t i = 0; i < relay->shards; i++) {
        struct relay_shard *part = &relay->of_shard[i];
        if (part->watermark <= part->saved)
            continue;
        pg_array_int(&shard_list, i);
        pg_array_int(&watermarks, part->watermark);
        any = true;
    }
    pg_array_end(&shard_list);
    pg_array_end(&watermarks);
    const char *params[] = {buf_text(&shard_list), buf_text(&watermarks)};
    if (any && pg_is_up(relay->session) &&
        pg_query(relay->session, &advance, params, saved, NULL) == 0) {
        for (uint32_t i = 0; i < relay->shards; i++)
            relay->of_shard[i].saved = relay->of_shard[i].watermark;
        FAILPOINT(RELAY_WATERMARK_SENT);
    }
    buf_free(&shard_list);
    buf_free(&watermarks);
}
