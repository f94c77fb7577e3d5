#include "producer/items.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"
#include "producer/orders/order_json.h"
#include "producer/respond.h"

#define PLACES 256  /* items that are kept; another one with the same hash takes the place */
#define KEEP_MS 500 /* the answer itself says "cacheable for a second" */
#define BODY_MAX 2048

static const struct pg_statement find_item = {
    "producer_find_item",
    "select i.sku, i.title, i.price, i.currency, i.stock - i.held - i.sold,"
    " case when i.paused then 'paused'"
    "  when i.opens_at > now() then 'upcoming'"
    "  when i.closes_at <= now() then 'closed'"
    "  when i.stock = i.sold then 'sold_out'"
    "  else 'on_sale' end,"
    " " ORDER_JSON_TIME("i.opens_at") ", " ORDER_JSON_TIME(
        "i.closes_at") ", i.waiting, i.challenge"
                       " from checkout.items i where i.sku = $1",
    1};

struct waiter {
    struct http_request *request;
    struct waiter *next;
};

/* An item whose query is under way, or whose answer is kept. */
struct place {
    struct api *api;
    char sku[JOB_SKU_MAX + 1];
    bool asking;
    struct waiter *waiters;
    uint64_t answered_ms; /* 0: never */
    bool found;
    struct buf body;
};

struct items {
    struct place places[PLACES];
};

struct items *items_new(void)
{
    struct items *items = calloc(1, sizeof *items);
    for (size_t i = 0; items != NULL && i < PLACES; i++)
        buf_init(&items->places[i].body, BODY_MAX);
    return items;
}

void items_free(struct items *items)
{
    if (items == NULL)
        return;
    for (size_t i = 0; i < PLACES; i++)
        buf_free(&items->places[i].body);
    free(items);
}

static void encode(struct buf *out, const struct pg_result *result)
{
    static const struct {
        const char *name;
        int column;
        bool text;
    } members[] = {{"title", 1, true},      {"price", 2, false},   {"currency", 3, true},
                   {"available", 4, false}, {"state", 5, true},    {"opens_at", 6, true},
                   {"closes_at", 7, true},  {"waiting", 8, false}, {"challenge", 9, true}};
    buf_reset(out);
    (void)buf_str(out, "{\"sku\":");
    (void)buf_json_str(out, pg_text(result, 0, 0));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (pg_null(result, 0, members[i].column))
            continue;
        (void)buf_printf(out, ",\"%s\":", members[i].name);
        if (members[i].text)
            (void)buf_json_str(out, pg_text(result, 0, members[i].column));
        else
            (void)buf_int(out, pg_int(result, 0, members[i].column));
    }
    (void)buf_char(out, '}');
}

static void answer(struct api *api, struct http_request *request, const struct place *place)
{
    /* a cache may not give a page the answer that another origin got */
    const struct http_header headers[] = {{"Cache-Control", "public, max-age=1"},
                                          {"Vary", "Origin"}};
    if (place->found)
        respond_json(api, request, STATS_ITEM, 200, &place->body, headers, ARRAY_LEN(headers));
    else
        respond_plain_problem(api, request, STATS_ITEM, PROBLEM_NOT_FOUND, "no such item");
}

static void found(const struct pg_result *result, void *arg)
{
    struct place *place = arg;
    bool good = pg_status(result) == PG_OK;
    place->asking = false;
    if (good) {
        place->found = pg_rows(result) == 1;
        place->answered_ms = clock_mono_ms();
        if (place->found)
            encode(&place->body, result);
    } else if (pg_status(result) == PG_ERROR) {
        log_error("item not read", LOG_STR("problem", pg_message(result)));
    }
    struct waiter *waiter = place->waiters;
    place->waiters = NULL;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        if (good)
            answer(place->api, waiter->request, place);
        else
            respond_plain_problem(place->api, waiter->request, STATS_ITEM,
                                  PROBLEM_DATABASE_UNAVAILABLE, NULL);
        free(waiter);
        waiter = next;
    }
}

/* Lets the request wait for the query that is under way, or that this starts. */
static bool ask(struct api *api, struct place *place, struct http_request *request, const char *sku)
{
    struct waiter *waiter = malloc(sizeof *waiter);
    if (waiter == NULL)
        return false;
    if (!place->asking) {
        const char *params[] = {sku};
        place->api = api;
        if (pg_query(api->sessions.reads, &find_item, params, found, place) < 0) {
            free(waiter);
            return false;
        }
        place->asking = true;
        place->answered_ms = 0;
        memcpy(place->sku, sku, strlen(sku) + 1);
    }
    *waiter = (struct waiter){request, place->waiters};
    place->waiters = waiter;
    return true;
}

void items_get(struct api *api, struct http_request *request, const char *sku)
{
    size_t len = strlen(sku);
    if (!job_sku_valid(sku, len)) {
        respond_plain_problem(api, request, STATS_ITEM, PROBLEM_NOT_FOUND, "no such item");
        return;
    }
    size_t first = strmap_hash(sku, len) % PLACES;
    struct place *place = &api->items->places[first];
    /* another item of the same hash has a query under way: any free place will do */
    for (size_t i = 1; i < PLACES && place->asking && strcmp(place->sku, sku) != 0; i++)
        place = &api->items->places[(first + i) % PLACES];
    bool same = strcmp(place->sku, sku) == 0;
    if (same && place->answered_ms > 0 && clock_mono_ms() < place->answered_ms + KEEP_MS)
        answer(api, request, place);
    else if ((place->asking && !same) || !ask(api, place, request, sku))
        respond_plain_problem(api, request, STATS_ITEM, PROBLEM_DATABASE_UNAVAILABLE, NULL);
}
