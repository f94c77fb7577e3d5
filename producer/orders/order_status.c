#include "producer/orders/order_status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/net/http/http_values.h"
#include "common/net/redis/redis.h"
#include "common/shop/event.h"
#include "common/shop/redis_keys.h"
#include "common/shop/status.h"
#include "producer/orders/event_tickets.h"
#include "producer/orders/line_paces.h"
#include "producer/orders/order_json.h"
#include "producer/respond.h"

#define WAIT_MAX_S 30
#define WAITING_MAX 4096 /* lookups that wait; further ones are answered at once */
#define TICK_MS 200
#define LOOK_AGAIN_MS 2000 /* for a waiting lookup that no event wakes */
#define CHANNEL_SIZE (sizeof REDIS_CHANNEL_EVENTS + JWT_USER_SIZE)

static const struct pg_statement find_order = {
    "producer_find_order",
    "select " ORDER_JSON_COLUMNS ", " ORDER_JSON_HISTORY ", " ORDER_JSON_ACTION
    ", o.user_id = $2 or o.user_id like 'adopted:%' from checkout.orders o where o.order_id = "
    "$1::uuid"
    " union all select " ORDER_JSON_PURGED
    ", true from checkout.purged_orders p where p.order_id = $1::uuid",
    2};

#define COLUMN_OWN (ORDER_JSON_COLUMN_COUNT + 2) /* after the history and the action */

struct listener;

struct lookup {
    struct api *api;
    struct http_request *request;
    char id[IDS_ORDER_SIZE];
    struct jwt_claims buyer;
    uint64_t until_ms; /* 0: does not wait */
    uint64_t asked_ms;
    bool asking;
    bool again;                /* something happened during its query */
    struct listener *listener; /* NULL: it does not listen yet */
    TAILQ_ENTRY(lookup) of_listener;
    TAILQ_ENTRY(lookup) of_all;
};

TAILQ_HEAD(lookup_list, lookup);

/* A buyer with waiting lookups, subscribed to the buyer's events. */
struct listener {
    struct lookup_list lookups;
    struct strmap_entry of_all;
    char user[JWT_USER_SIZE];
};

struct order_status {
    struct api *api;
    struct redis_subscriber *subscriber;
    struct loop_timer *tick;
    struct lookup_list waiting;
    size_t waiting_count;
    bool draining;
    struct strmap listeners; /* by user */
};

static void ask(struct lookup *l);

/* ---- listening to a buyer's events ---- */

static struct listener *find_listener(struct order_status *status, const char *user, size_t len)
{
    return STRMAP_OF(strmap_find(&status->listeners, user, len), struct listener, of_all);
}

static void channel_name(const char *user, char ret_channel[CHANNEL_SIZE])
{
    (void)snprintf(ret_channel, CHANNEL_SIZE, "%s%s", REDIS_CHANNEL_EVENTS, user);
}

/* Without memory or Redis, only the clock wakes the lookup. */
static void listen_to(struct order_status *status, struct lookup *l)
{
    size_t len = strlen(l->buyer.user);
    struct listener *listener = find_listener(status, l->buyer.user, len);
    if (listener == NULL) {
        char channel[CHANNEL_SIZE];
        listener = calloc(1, sizeof *listener);
        if (listener == NULL)
            return;
        TAILQ_INIT(&listener->lookups);
        memcpy(listener->user, l->buyer.user, len + 1);
        channel_name(l->buyer.user, channel);
        if (strmap_add(&status->listeners, &listener->of_all, listener->user, len) < 0) {
            free(listener);
            return;
        }
        if (redis_subscribe(status->subscriber, channel) < 0) {
            strmap_remove(&status->listeners, &listener->of_all);
            free(listener);
            return;
        }
    }
    l->listener = listener;
    TAILQ_INSERT_TAIL(&listener->lookups, l, of_listener);
}

static void unlisten(struct order_status *status, struct lookup *l)
{
    struct listener *listener = l->listener;
    if (listener == NULL)
        return;
    l->listener = NULL;
    TAILQ_REMOVE(&listener->lookups, l, of_listener);
    if (!TAILQ_EMPTY(&listener->lookups))
        return;
    char channel[CHANNEL_SIZE];
    channel_name(listener->user, channel);
    redis_unsubscribe(status->subscriber, channel);
    strmap_remove(&status->listeners, &listener->of_all);
    free(listener);
}

static bool begins(const char *channel, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len > prefix_len && memcmp(channel, prefix, prefix_len) == 0;
}

/* Repeats the buyer's lookups, or those that `message` is about. */
static void wake(struct order_status *status, const char *channel, size_t channel_len,
                 const char *message, size_t message_len)
{
    size_t prefix = sizeof REDIS_CHANNEL_EVENTS - 1;
    if (!begins(channel, channel_len, REDIS_CHANNEL_EVENTS))
        return;
    struct listener *listener = find_listener(status, channel + prefix, channel_len - prefix);
    if (listener == NULL)
        return;
    struct lookup *next;
    for (struct lookup *l = TAILQ_FIRST(&listener->lookups); l != NULL; l = next) {
        next =
            TAILQ_NEXT(l, of_listener); /* asking may end it, and with the last one the listener */
        if (message == NULL || memmem(message, message_len, l->id, IDS_ORDER_SIZE - 1) != NULL)
            ask(l);
    }
}

static void on_message(const char *channel, size_t channel_len, const char *message,
                       size_t message_len, void *arg)
{
    struct order_status *status = arg;
    if (begins(channel, channel_len, REDIS_CHANNEL_LINE))
        line_paces_heard(status->api->paces, channel, channel_len, message, message_len);
    else
        wake(status, channel, channel_len, message, message_len);
}

/* A lookup now sees what happened before. */
static void on_subscribed(const char *channel, size_t channel_len, void *arg)
{
    wake(arg, channel, channel_len, NULL, 0);
}

/* ---- one lookup ---- */

static bool waits(const struct lookup *l)
{
    const struct order_status *status = l->api->status;
    return l->until_ms > 0 && !status->draining && clock_mono_ms() < l->until_ms;
}

static void start_waiting(struct order_status *status, struct lookup *l)
{
    TAILQ_INSERT_TAIL(&status->waiting, l, of_all);
    status->waiting_count++;
    listen_to(status, l);
}

static void end(struct lookup *l)
{
    struct order_status *status = l->api->status;
    if (l->until_ms > 0) {
        unlisten(status, l);
        TAILQ_REMOVE(&status->waiting, l, of_all);
        status->waiting_count--;
    }
    free(l);
}

static void answer_unavailable(struct lookup *l)
{
    if (waits(l))
        return; /* the next tick repeats it */
    respond_plain_problem(l->api, l->request, STATS_ORDER, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    end(l);
}

/* Its customer was forgotten, and the name of another is in the row: the id alone proves that it
 * was this buyer's. That of an order which a restore adopted is not known. */
static bool is_forgotten(const struct pg_result *result)
{
    return pg_rows(result) > 0 && !pg_bool(result, 0, COLUMN_OWN);
}

static void answer_forgotten(struct lookup *l)
{
    respond_plain_problem(l->api, l->request, STATS_ORDER, PROBLEM_NOT_FOUND, "no such order");
    end(l);
}

/* No row: the id is genuine, so the order is on its way to the consumer, or was never accepted. */
static void answer(struct lookup *l, const struct pg_result *result)
{
    struct api *api = l->api;
    struct buf *out = &api->out;
    bool known = pg_rows(result) > 0;
    buf_reset(out);
    (void)buf_char(out, '{');
    if (known)
        order_json_encode(out, result, 0, api->paces);
    else
        (void)buf_printf(out, "\"id\":\"%s\",\"status\":\"queued\"", l->id);
    (void)buf_str(out, ",\"events_url\":");
    event_tickets_encode(api->tickets, &l->buyer, clock_wall_ms() / 1000, out);
    const char *action = known ? order_json_action(result, 0) : NULL;
    if (action != NULL) {
        (void)buf_str(out, ",\"next_action\":");
        (void)buf_str(out, action);
    }
    (void)buf_str(out, ",\"history\":");
    (void)buf_str(out, known ? order_json_history(result, 0) : "[]");
    (void)buf_char(out, '}');
    const struct http_header headers[] = {{"Cache-Control", "no-store"}, {"Retry-After", "1"}};
    bool final = known && order_state_final(order_state_of(order_json_status(result, 0)));
    respond_json(api, l->request, STATS_ORDER, 200, out, headers, final ? 1 : 2);
    end(l);
}

/* Its answer will tell how its line moves. */
static void wait_on(struct lookup *l, const struct pg_result *result)
{
    if (pg_rows(result) > 0)
        order_json_watch(result, 0, l->api->paces);
    if (l->again)
        ask(l);
}

static void looked_up(const struct pg_result *result, void *arg)
{
    struct lookup *l = arg;
    l->asking = false;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("order not read", LOG_STR("order_id", l->id),
                      LOG_STR("request_id", http_request_id(l->request)),
                      LOG_STR("problem", pg_message(result)));
        answer_unavailable(l);
        return;
    }
    bool final =
        pg_rows(result) > 0 && order_state_final(order_state_of(order_json_status(result, 0)));
    if (is_forgotten(result))
        answer_forgotten(l);
    else if (final || !waits(l))
        answer(l, result);
    else
        wait_on(l, result);
}

static void ask(struct lookup *l)
{
    const char *params[] = {l->id, l->buyer.user};
    if (l->asking) {
        l->again = true;
        return;
    }
    l->again = false;
    l->asked_ms = clock_mono_ms();
    if (pg_query(l->api->sessions.reads, &find_order, params, looked_up, l) < 0)
        answer_unavailable(l);
    else
        l->asking = true;
}

static void tick(void *arg)
{
    struct order_status *status = arg;
    uint64_t now_ms = clock_mono_ms();
    struct lookup *next;
    for (struct lookup *l = TAILQ_FIRST(&status->waiting); l != NULL; l = next) {
        next = TAILQ_NEXT(l, of_all);
        if (!l->asking &&
            (status->draining || now_ms >= l->until_ms || now_ms >= l->asked_ms + LOOK_AGAIN_MS))
            ask(l);
    }
}

/* ---- */

static int listen_to_line(const char *channel, void *arg)
{
    struct order_status *status = arg;
    return redis_subscribe(status->subscriber, channel);
}

static void leave_line(const char *channel, void *arg)
{
    struct order_status *status = arg;
    redis_unsubscribe(status->subscriber, channel);
}

struct order_status *order_status_new(struct api *api, const struct redis_server *redis)
{
    struct order_status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return NULL;
    status->api = api;
    TAILQ_INIT(&status->waiting);
    const struct redis_subscriber_events events = {.message = on_message,
                                                   .subscribed = on_subscribed};
    status->subscriber = redis_subscriber_open(api->loop, redis, &events, status);
    status->tick = loop_timer_new(api->loop, tick, status);
    const struct line_paces_channels lines = {listen_to_line, leave_line, status};
    api->paces = line_paces_new(api->loop, &lines);
    if (status->subscriber == NULL || status->tick == NULL || api->paces == NULL) {
        order_status_free(status);
        return NULL;
    }
    loop_timer_start(status->tick, TICK_MS, TICK_MS);
    return status;
}

void order_status_free(struct order_status *status)
{
    if (status == NULL)
        return;
    struct lookup *next;
    for (struct lookup *l = TAILQ_FIRST(&status->waiting); l != NULL; l = next) {
        next = TAILQ_NEXT(l, of_all);
        unlisten(status, l);
        free(l);
    }
    redis_subscriber_close(status->subscriber);
    line_paces_free(status->api->paces);
    status->api->paces = NULL;
    loop_timer_free(status->tick);
    strmap_free(&status->listeners);
    free(status);
}

void order_status_drain(struct order_status *status)
{
    status->draining = true;
    tick(status);
}

void order_status_get(struct api *api, struct http_request *request, const char *id)
{
    struct order_status *status = api->status;
    struct jwt_claims buyer;
    if (respond_authenticate(api, request, STATS_ORDER, &buyer) < 0)
        return;
    if (!ids_verify(api->ids, buyer.user, id)) {
        respond_plain_problem(api, request, STATS_ORDER, PROBLEM_NOT_FOUND, "no such order");
        return;
    }
    struct lookup *l = calloc(1, sizeof *l);
    if (l == NULL) {
        respond_plain_problem(api, request, STATS_ORDER, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    l->api = api;
    l->request = request;
    l->buyer = buyer;
    memcpy(l->id, id, IDS_ORDER_SIZE);
    struct buf prefer;
    buf_init(&prefer, HEADER_LIST_MAX);
    unsigned wait_s = http_value_wait(http_request_list(request, "Prefer", &prefer), WAIT_MAX_S);
    buf_free(&prefer);
    if (wait_s > 0 && status->waiting_count < WAITING_MAX && !status->draining) {
        l->until_ms = clock_mono_ms() + (uint64_t)wait_s * 1000;
        start_waiting(status, l);
    }
    ask(l);
}
