#include "producer/orders/order_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "producer/orders/order_json.h"
#include "producer/respond.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 100

/* One more row than asked for, to know whether there is a next page. */
static const struct pg_statement list_orders = {
    "producer_list_orders",
    "select " ORDER_JSON_COLUMNS " from checkout.orders o"
    " where hashtext(o.user_id) = hashtext($1) and o.user_id = $1"
    " and ($2::uuid is null or (o.created_at, o.order_id) <"
    "  (select a.created_at, a.order_id from checkout.orders a"
    "    where a.order_id = $2::uuid and a.user_id = $1))"
    " order by o.created_at desc, o.order_id desc limit $3::integer + 1",
    3};

struct order_list {
    struct api *api;
    struct http_request *request;
    int limit;
};

static void encode(struct buf *out, const struct pg_result *result, int limit,
                   struct line_paces *paces)
{
    int rows = pg_rows(result);
    buf_reset(out);
    (void)buf_str(out, "{\"orders\":[");
    for (int i = 0; i < rows && i < limit; i++) {
        (void)buf_str(out, i == 0 ? "{" : ",{");
        order_json_encode(out, result, i, paces);
        (void)buf_char(out, '}');
    }
    (void)buf_char(out, ']');
    if (rows > limit) {
        (void)buf_str(out, ",\"next\":\"/v1/orders?limit=");
        (void)buf_int(out, limit);
        (void)buf_str(out, "&after=");
        (void)buf_str(out, pg_text(result, limit - 1, 0));
        (void)buf_char(out, '"');
    }
    (void)buf_char(out, '}');
}

static void listed(const struct pg_result *result, void *arg)
{
    struct order_list *listing = arg;
    struct api *api = listing->api;
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("orders not listed", LOG_STR("request_id", http_request_id(listing->request)),
                      LOG_STR("problem", pg_message(result)));
        respond_plain_problem(api, listing->request, STATS_ORDERS_LIST,
                              PROBLEM_DATABASE_UNAVAILABLE, NULL);
    } else {
        const struct http_header header = {"Cache-Control", "no-store"};
        encode(&api->out, result, listing->limit, api->paces);
        respond_json(api, listing->request, STATS_ORDERS_LIST, 200, &api->out, &header, 1);
    }
    free(listing);
}

/* 0: not a number from 1 to LIMIT_MAX */
static int read_limit(const char *text)
{
    if (text == NULL)
        return LIMIT_DEFAULT;
    int64_t limit;
    return parse_int(text, 1, LIMIT_MAX, &limit) == 0 ? (int)limit : 0;
}

void order_list_get(struct api *api, struct http_request *request)
{
    struct jwt_claims buyer;
    if (respond_authenticate(api, request, STATS_ORDERS_LIST, &buyer) < 0)
        return;
    const char *limit_text = http_request_query(request, "limit");
    const char *after = http_request_query(request, "after");
    int limit = read_limit(limit_text);
    const char *wrong = NULL;
    if (limit == 0)
        wrong = "limit must be a number from 1 to 100";
    else if (after != NULL && !ids_verify(api->ids, buyer.user, after))
        wrong = "after must be the id of one of your orders";
    if (wrong != NULL) {
        respond_plain_problem(api, request, STATS_ORDERS_LIST, PROBLEM_INVALID_REQUEST, wrong);
        return;
    }
    struct order_list *listing = malloc(sizeof *listing);
    const char *params[] = {buyer.user, after, limit_text == NULL ? "20" : limit_text};
    int code = ERR_NOMEM;
    if (listing != NULL) {
        *listing = (struct order_list){api, request, limit};
        code = pg_query(api->sessions.reads, &list_orders, params, listed, listing);
    }
    if (code < 0) {
        free(listing);
        respond_plain_problem(api, request, STATS_ORDERS_LIST, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    }
}
