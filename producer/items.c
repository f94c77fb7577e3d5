#include "producer/items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"
#include "producer/orders/order_json.h"
#include "producer/respond.h"

#define ITEM_PLACES                                                                                \
    256 /* answers that are kept; another one with the same hash takes the place                   \
         */
#define PAGE_PLACES 16
#define KEEP_MS 500 /* the answer itself says "cacheable for a second" */
#define ITEM_BYTES_MAX 2048
#define LIMIT_DEFAULT 20
#define LIMIT_MAX 100
#define KEY_SIZE (JOB_SKU_MAX + 8) /* of a page: its limit, a blank, and behind which item */

#define ITEM_COLUMNS                                                                               \
    "i.sku, i.title, i.price, i.currency, i.stock - i.held - i.sold,"                              \
    " case when i.paused then 'paused'"                                                            \
    "  when i.opens_at > now() then 'upcoming'"                                                    \
    "  when i.closes_at <= now() then 'closed'"                                                    \
    "  when i.stock = i.sold then 'sold_out'"                                                      \
    "  else 'on_sale' end,"                                                                        \
    " " ORDER_JSON_TIME("i.opens_at") ", " ORDER_JSON_TIME(                                        \
        "i.closes_at") ", i.waiting, i.challenge"

static const struct pg_statement find_item = {
    "producer_find_item", "select " ITEM_COLUMNS " from checkout.items i where i.sku = $1", 1};

/* One more row than asked for, to know whether there is a next page. */
static const struct pg_statement list_items = {"producer_list_items",
                                               "select " ITEM_COLUMNS
                                               " from checkout.items i where i.sku > $1"
                                               " order by i.sku limit $2::integer + 1",
                                               2};

struct waiter {
    struct http_request *request;
    struct waiter *next;
};

/* An answer that is kept, or whose query is under way. */
struct place {
    struct api *api;
    char key[KEY_SIZE];
    enum stats_route route;
    int limit; /* of a page; 0: one item */
    bool asking;
    struct waiter *waiters;
    uint64_t answered_ms; /* 0: never */
    bool found;
    struct buf body;
};

struct items {
    struct place items[ITEM_PLACES];
    struct place pages[PAGE_PLACES];
};

/* What a request asks for. */
struct question {
    struct place *places;
    size_t place_count;
    enum stats_route route;
    int limit;
    const char *key;
    const struct pg_statement *statement;
    const char *params[2];
};

struct items *items_new(void)
{
    struct items *items = calloc(1, sizeof *items);
    for (size_t i = 0; items != NULL && i < ITEM_PLACES; i++)
        buf_init(&items->items[i].body, ITEM_BYTES_MAX);
    for (size_t i = 0; items != NULL && i < PAGE_PLACES; i++)
        buf_init(&items->pages[i].body, (size_t)LIMIT_MAX * ITEM_BYTES_MAX);
    return items;
}

void items_free(struct items *items)
{
    if (items == NULL)
        return;
    for (size_t i = 0; i < ITEM_PLACES; i++)
        buf_free(&items->items[i].body);
    for (size_t i = 0; i < PAGE_PLACES; i++)
        buf_free(&items->pages[i].body);
    free(items);
}

static void encode_item(struct buf *out, const struct pg_result *result, int row)
{
    static const struct {
        const char *name;
        int column;
        bool text;
    } members[] = {{"title", 1, true},      {"price", 2, false},   {"currency", 3, true},
                   {"available", 4, false}, {"state", 5, true},    {"opens_at", 6, true},
                   {"closes_at", 7, true},  {"waiting", 8, false}, {"challenge", 9, true}};
    (void)buf_str(out, "{\"sku\":");
    (void)buf_json_str(out, pg_text(result, row, 0));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (pg_null(result, row, members[i].column))
            continue;
        (void)buf_printf(out, ",\"%s\":", members[i].name);
        if (members[i].text)
            (void)buf_json_str(out, pg_text(result, row, members[i].column));
        else
            (void)buf_int(out, pg_int(result, row, members[i].column));
    }
    (void)buf_char(out, '}');
}

static void encode_page(struct buf *out, const struct pg_result *result, int limit)
{
    int rows = pg_rows(result);
    (void)buf_str(out, "{\"items\":[");
    for (int i = 0; i < rows && i < limit; i++) {
        if (i > 0)
            (void)buf_char(out, ',');
        encode_item(out, result, i);
    }
    (void)buf_char(out, ']');
    if (rows > limit) /* a SKU needs no escaping */
        (void)buf_printf(out, ",\"next\":\"/v1/items?limit=%d&after=%s\"", limit,
                         pg_text(result, limit - 1, 0));
    (void)buf_char(out, '}');
}

static void answer(struct api *api, struct http_request *request, const struct place *place)
{
    /* a cache may not give a page the answer that another origin got */
    const struct http_header headers[] = {{"Cache-Control", "public, max-age=1"},
                                          {"Vary", "Origin"}};
    if (place->found)
        respond_json(api, request, place->route, 200, &place->body, headers, ARRAY_LEN(headers));
    else
        respond_plain_problem(api, request, place->route, PROBLEM_NOT_FOUND, "no such item");
}

static void keep(struct place *place, const struct pg_result *result)
{
    place->found = place->limit > 0 || pg_rows(result) == 1;
    place->answered_ms = clock_mono_ms();
    buf_reset(&place->body);
    if (place->limit > 0)
        encode_page(&place->body, result, place->limit);
    else if (place->found)
        encode_item(&place->body, result, 0);
}

static void found(const struct pg_result *result, void *arg)
{
    struct place *place = arg;
    bool good = pg_status(result) == PG_OK;
    place->asking = false;
    if (good)
        keep(place, result);
    else if (pg_status(result) == PG_ERROR)
        log_error("items not read", LOG_STR("problem", pg_message(result)));
    struct waiter *waiter = place->waiters;
    place->waiters = NULL;
    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        if (good)
            answer(place->api, waiter->request, place);
        else
            respond_plain_problem(place->api, waiter->request, place->route,
                                  PROBLEM_DATABASE_UNAVAILABLE, NULL);
        free(waiter);
        waiter = next;
    }
}

/* Lets the request wait for the query that is under way, or that this starts. */
static bool ask(struct api *api, struct place *place, struct http_request *request,
                const struct question *question)
{
    struct waiter *waiter = malloc(sizeof *waiter);
    if (waiter == NULL)
        return false;
    if (!place->asking) {
        place->api = api;
        place->route = question->route;
        place->limit = question->limit;
        if (pg_query(api->sessions.reads, question->statement, question->params, found, place) <
            0) {
            free(waiter);
            return false;
        }
        place->asking = true;
        place->answered_ms = 0;
        memcpy(place->key, question->key, strlen(question->key) + 1);
    }
    *waiter = (struct waiter){request, place->waiters};
    place->waiters = waiter;
    return true;
}

static void answer_or_ask(struct api *api, struct http_request *request,
                          const struct question *question)
{
    const char *key = question->key;
    size_t first = strmap_hash(key, strlen(key)) % question->place_count;
    struct place *place = &question->places[first];
    /* another answer of the same hash has a query under way: any free place will do */
    for (size_t i = 1; i < question->place_count && place->asking && strcmp(place->key, key) != 0;
         i++)
        place = &question->places[(first + i) % question->place_count];
    bool same = strcmp(place->key, key) == 0;
    if (same && place->answered_ms > 0 && clock_mono_ms() < place->answered_ms + KEEP_MS)
        answer(api, request, place);
    else if ((place->asking && !same) || !ask(api, place, request, question))
        respond_plain_problem(api, request, question->route, PROBLEM_DATABASE_UNAVAILABLE, NULL);
}

void items_get(struct api *api, struct http_request *request, const char *sku)
{
    if (!job_sku_valid(sku, strlen(sku))) {
        respond_plain_problem(api, request, STATS_ITEM, PROBLEM_NOT_FOUND, "no such item");
        return;
    }
    answer_or_ask(api, request,
                  &(struct question){.places = api->items->items,
                                     .place_count = ITEM_PLACES,
                                     .route = STATS_ITEM,
                                     .key = sku,
                                     .statement = &find_item,
                                     .params = {sku}});
}

void items_list(struct api *api, struct http_request *request)
{
    const char *limit_text = http_request_query(request, "limit");
    const char *after = http_request_query(request, "after");
    int64_t limit = LIMIT_DEFAULT;
    const char *wrong = NULL;
    if (limit_text != NULL && parse_int(limit_text, 1, LIMIT_MAX, &limit) < 0)
        wrong = "limit must be a number from 1 to 100";
    else if (after != NULL && !job_sku_valid(after, strlen(after)))
        wrong = "after must be the sku of an item";
    if (wrong != NULL) {
        respond_plain_problem(api, request, STATS_ITEMS_LIST, PROBLEM_INVALID_REQUEST, wrong);
        return;
    }
    char limit_param[8];
    char key[KEY_SIZE];
    (void)snprintf(limit_param, sizeof limit_param, "%d", (int)limit);
    (void)snprintf(key, sizeof key, "%d %s", (int)limit, after == NULL ? "" : after);
    answer_or_ask(api, request,
                  &(struct question){.places = api->items->pages,
                                     .place_count = PAGE_PLACES,
                                     .route = STATS_ITEMS_LIST,
                                     .limit = (int)limit,
                                     .key = key,
                                     .statement = &list_items,
                                     .params = {after == NULL ? "" : after, limit_param}});
}
