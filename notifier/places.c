#include "notifier/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "notifier/line.h"
#include "notifier/place.h"
#include "notifier/tickets.h"

#define TICK_MS 500
#define READ_EACH_MS 2000   /* one line is read so often at most, a long one more seldom … */
#define READ_LONG_MS 8000   /* … but so often, where that is needed */
#define READ_FOR_MS 16      /* orders that add a ms to the former */
#define SILENT_MS 7000      /* its owner says something every 5 s: Redis does not reach us */
#define READ_SILENT_MS 5000 /* so often, then */
#define READS_MAX 16        /* lines read at once: 32 a second */
#define TELL_MAX 512        /* orders looked at in one turn of the loop */
#define MESSAGE_MAX 1024
#define NUMBER_SIZE 16

TAILQ_HEAD(place_list, place);

struct watched {
    struct places *owner;
    char sku[JOB_SKU_MAX + 1];
    struct strmap_entry of_all;
    TAILQ_ENTRY(watched) in_order; /* whose last reading is the oldest comes first */
    struct line line;
    struct place_list orders;
    struct place *next; /* to be sent to; NULL: all were */
    bool again;         /* look at all once more: something changed */
    struct reading *reading;
    uint64_t readings; /* completed */
    uint64_t begun;
    uint64_t began_ms; /* 0: none yet */
    uint64_t heard_ms;
    bool lagging; /* somebody waits for a newer reading */
};

TAILQ_HEAD(watched_list, watched);

struct reading {
    struct places *places;
    struct watched *item; /* NULL: no buyer waits for it any more */
    uint64_t number;
};

struct places {
    struct pg *pg;
    struct places_channels channels;
    struct stats *stats;
    struct strmap items; /* by sku */
    struct watched_list in_order;
    struct tickets *tickets;
    unsigned reads;
    bool refused; /* and logged */
    struct loop_timer *tick;
    struct loop_timer *tell;
    struct buf message;
};

static const struct pg_statement read_line = {
    "line",
    "select head, next_ticket, waiting, behind_ms, tickets"
    " from checkout.line_tickets($1::text, $2::integer)",
    2};

enum line_column { HEAD, NEXT, WAITING, BEHIND, TICKETS };

/* ---- telling ---- */

/* In another turn of the loop, so that events are not kept waiting by very many places. */
static void tell_soon(struct places *places)
{
    if (!loop_timer_active(places->tell))
        loop_timer_start(places->tell, 1, 0);
}

static void tell_all(struct watched *item)
{
    if (item->next == NULL)
        item->next = TAILQ_FIRST(&item->orders);
    else
        item->again = true; /* those before it have older news */
    if (item->next != NULL)
        tell_soon(item->owner);
}

static void tell(struct places *places, struct watched *item, struct place *place)
{
    struct place_news news;
    if (!place_news(place, &item->line, item->readings, &news))
        return;
    if (place->session->holding || ws_buffered(place->session->ws) > WS_BUFFER_LOW)
        return; /* the next tick looks again */
    buf_reset(&places->message);
    if (place_encode(&places->message, place, item->sku, &news, clock_wall_ms()) < 0 ||
        session_tell(place->session, buf_text(&places->message), places->message.len) < 0)
        return;
    place_sent(place, &news);
    metric_add(places->stats->places, 1);
}

/* Returns how many more may be looked at in this turn. */
static size_t tell_item(struct places *places, struct watched *item, size_t room)
{
    while (item->next != NULL && room > 0) {
        struct place *place = item->next;
        item->next = TAILQ_NEXT(place, of_item);
        tell(places, item, place);
        room--;
        if (item->next == NULL && item->again) {
            item->again = false;
            item->next = TAILQ_FIRST(&item->orders);
        }
    }
    return room;
}

static void tell_due(void *arg)
{
    struct places *places = arg;
    size_t room = TELL_MAX;
    struct watched *item;
    TAILQ_FOREACH(item, &places->in_order, in_order)
    room = tell_item(places, item, room);
    if (room == 0)
        tell_soon(places);
}

/* ---- reading lines ---- */

/* Once, until the database answers such questions again. */
static void complain(struct places *places, const struct pg_result *result)
{
    bool refused = pg_status(result) == PG_ERROR;
    if (refused && !places->refused)
        log_warning("place in line not read from PostgreSQL",
                    LOG_STR("problem", pg_message(result)));
    places->refused = refused;
}

static void line_came(const struct pg_result *result, void *arg)
{
    struct reading *reading = arg;
    struct places *places = reading->places;
    struct watched *item = reading->item;
    uint64_t number = reading->number;
    free(reading);
    places->reads--;
    if (item != NULL)
        item->reading = NULL;
    complain(places, result);
    if (item == NULL || pg_status(result) != PG_OK || pg_rows(result) == 0)
        return;
    const struct line_news news = {
        .head = pg_int(result, 0, HEAD),
        .next = pg_int(result, 0, NEXT),
        .waiting = pg_int(result, 0, WAITING),
        .behind_ms = pg_null(result, 0, BEHIND) ? LINE_CLOCK_STANDS : pg_int(result, 0, BEHIND)};
    const char *tickets = pg_null(result, 0, TICKETS) ? "" : pg_text(result, 0, TICKETS);
    if (line_read(&item->line, &news, tickets) < 0) {
        log_warning("line not understood", LOG_STR("sku", item->sku));
        return;
    }
    item->readings = number;
    tell_all(item);
}

static bool wants_reading(const struct watched *item, uint64_t now_ms)
{
    if (item->reading != NULL)
        return false;
    if (item->began_ms == 0)
        return true;
    uint64_t age_ms = now_ms - item->began_ms;
    uint64_t each_ms = READ_EACH_MS + (uint64_t)item->line.news.waiting / READ_FOR_MS;
    if (age_ms < (each_ms < READ_LONG_MS ? each_ms : READ_LONG_MS))
        return false;
    if (item->lagging || !line_exact(&item->line))
        return true;
    return age_ms >= READ_SILENT_MS && now_ms - item->heard_ms > SILENT_MS;
}

static bool read_item(struct places *places, struct watched *item, uint64_t now_ms)
{
    char groups[NUMBER_SIZE];
    (void)snprintf(groups, sizeof groups, "%d", LINE_GROUPS_MAX);
    const char *const params[] = {item->sku, groups};
    struct reading *reading = malloc(sizeof *reading);
    if (reading == NULL)
        return false;
    *reading = (struct reading){places, item, item->begun + 1};
    if (pg_query(places->pg, &read_line, params, line_came, reading) < 0) {
        free(reading);
        return false;
    }
    item->reading = reading;
    item->begun++;
    item->began_ms = now_ms;
    item->lagging = false;
    TAILQ_REMOVE(&places->in_order, item, in_order);
    TAILQ_INSERT_TAIL(&places->in_order, item, in_order);
    places->reads++;
    metric_add(places->stats->line_reads, 1);
    return true;
}

static void read_lines(struct places *places)
{
    uint64_t now_ms = clock_mono_ms();
    struct watched *next;
    for (struct watched *item = TAILQ_FIRST(&places->in_order);
         item != NULL && places->reads < READS_MAX; item = next) {
        next = TAILQ_NEXT(item, in_order);
        if (wants_reading(item, now_ms) && !read_item(places, item, now_ms))
            return;
    }
}

/* ---- who waits ---- */

static void unwatch(struct places *places, struct watched *item)
{
    places->channels.unlisten(item->sku, places->channels.arg);
    if (item->reading != NULL)
        item->reading->item = NULL;
    TAILQ_REMOVE(&places->in_order, item, in_order);
    strmap_remove(&places->items, &item->of_all);
    line_free(&item->line);
    free(item);
    metric_set(places->stats->lines, (double)places->items.count);
}

static struct watched *watch(struct places *places, const char *sku)
{
    size_t len = strlen(sku);
    struct watched *item = STRMAP_OF(strmap_find(&places->items, sku, len), struct watched, of_all);
    if (item != NULL)
        return item;
    item = calloc(1, sizeof *item);
    if (item == NULL)
        return NULL;
    item->owner = places;
    memcpy(item->sku, sku, len);
    TAILQ_INIT(&item->orders);
    item->heard_ms = clock_mono_ms();
    if (strmap_add(&places->items, &item->of_all, item->sku, len) < 0) {
        free(item);
        return NULL;
    }
    TAILQ_INSERT_HEAD(&places->in_order, item, in_order);
    if (places->channels.listen(item->sku, places->channels.arg) < 0)
        log_debug("line not listened to; it is read");
    metric_set(places->stats->lines, (double)places->items.count);
    return item;
}

static void forget(struct places *places, struct place *place)
{
    struct watched *item = place->item;
    tickets_forget(places->tickets, place);
    if (item->next == place)
        item->next = TAILQ_NEXT(place, of_item);
    LIST_REMOVE(place, of_session);
    TAILQ_REMOVE(&item->orders, place, of_item);
    free(place);
    if (TAILQ_EMPTY(&item->orders))
        unwatch(places, item);
}

static struct place *find(struct session *session, const unsigned char *order, size_t *ret_count)
{
    struct place *place;
    *ret_count = 0;
    LIST_FOREACH(place, &session->places, of_session)
    {
        if (memcmp(place->order, order, sizeof place->order) == 0)
            return place;
        (*ret_count)++;
    }
    return NULL;
}

static void add(struct places *places, struct session *session, const struct envelope *envelope)
{
    struct watched *item = watch(places, envelope->sku);
    struct place *place = item == NULL ? NULL : calloc(1, sizeof *place);
    if (place == NULL) {
        if (item != NULL && TAILQ_EMPTY(&item->orders))
            unwatch(places, item);
        return;
    }
    place->session = session;
    place->item = item;
    place->event_id = envelope->id;
    place->sequence = envelope->sequence;
    place->shown = envelope->place;
    memcpy(place->order, envelope->order, sizeof place->order);
    if (place->shown == 0) { /* another socket of its buyer may know a place by a newer reading */
        place->need = item->begun + 1;
        item->lagging = true;
    }
    LIST_INSERT_HEAD(&session->places, place, of_session);
    TAILQ_INSERT_TAIL(&item->orders, place, of_item);
    tickets_want(places->tickets, place);
}

static void ticket_found(struct place *place, void *arg)
{
    (void)arg;
    tell_all(place->item);
}

/* It does not wait any more: its next event is on its way. */
static void ticket_missing(struct place *place, void *arg)
{
    forget(arg, place);
}

/* ---- the whole ---- */

static void tick_due(void *arg)
{
    struct places *places = arg;
    struct watched *item;
    tickets_ask(places->tickets);
    if (pg_is_up(places->pg))
        read_lines(places);
    TAILQ_FOREACH(item, &places->in_order, in_order)
    if (item->next == NULL)
        tell_all(item);
}

struct places *places_new(struct loop *loop, struct pg *pg, const struct places_channels *channels,
                          struct stats *stats)
{
    struct places *places = calloc(1, sizeof *places);
    if (places == NULL)
        return NULL;
    places->pg = pg;
    places->channels = *channels;
    places->stats = stats;
    TAILQ_INIT(&places->in_order);
    places->tickets = tickets_new(pg, ticket_found, ticket_missing, places);
    buf_init(&places->message, MESSAGE_MAX);
    places->tick = loop_timer_new(loop, tick_due, places);
    places->tell = loop_timer_new(loop, tell_due, places);
    if (places->tickets == NULL || places->tick == NULL || places->tell == NULL) {
        places_free(places);
        return NULL;
    }
    loop_timer_start(places->tick, TICK_MS, TICK_MS);
    return places;
}

void places_free(struct places *places)
{
    if (places == NULL)
        return;
    tickets_free(places->tickets);
    strmap_free(&places->items);
    loop_timer_free(places->tick);
    loop_timer_free(places->tell);
    buf_free(&places->message);
    free(places);
}

void places_pushed(struct places *places, struct session *session, const struct envelope *envelope)
{
    size_t count;
    struct place *place = find(session, envelope->order, &count);
    if (place != NULL)
        forget(places, place);
    if (envelope->waits && count < PLACES_OF_SESSION &&
        job_sku_valid(envelope->sku, strlen(envelope->sku)))
        add(places, session, envelope);
}

void places_forget(struct places *places, struct session *session)
{
    struct place *place, *next;
    for (place = LIST_FIRST(&session->places); place != NULL; place = next) {
        next = LIST_NEXT(place, of_session);
        forget(places, place);
    }
}

void places_heard(struct places *places, const char *sku, size_t sku_len, const char *text,
                  size_t len)
{
    struct watched *item =
        STRMAP_OF(strmap_find(&places->items, sku, sku_len), struct watched, of_all);
    struct line_news news;
    if (item == NULL)
        return; /* its last buyer has just left */
    if (line_news_parse(text, len, &news) < 0) {
        metric_add(places->stats->unreadable, 1);
        log_warning("message from Redis is no line", LOG_INT("bytes", len));
        return;
    }
    item->heard_ms = clock_mono_ms();
    if (line_hear(&item->line, &news))
        tell_all(item);
}
