#include "producer/order_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "producer/respond.h"
#include "producer/order_json.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 100

/* One more row than asked for, to know whether there is a next page. */
static const struct db_statement list_orders = {
    "producer_list_orders",
    "select " VIEW_COLUMNS " from checkout.orders o"
    " where o.user_id = $1"
    " and ($2::uuid is null or (o.created_at, o.order_id) <"
    "  (select a.created_at, a.order_id from checkout.orders a"
    "    where a.order_id = $2::uuid and a.user_id = $1))"
    " order by o.created_at desc, o.order_id desc limit $3::integer + 1",
    3};

struct listing {
    struct door *door;
    struct http_request *request;
    int limit;
};

static void encode(struct buf *out, const struct db_result *result, int limit)
{
    int rows = db_rows(result);
    buf_reset(out);
    (void)buf_str(out, "{\"orders\":[");
    for (int i = 0; i < rows && i < limit; i++) {
        (void)buf_str(out, i == 0 ? "{" : ",{");
        view_order(out, result, i);
        (void)buf_char(out, '}');
    }
    (void)buf_char(out, ']');
    if (rows > limit) {
        (void)buf_str(out, ",\"next\":\"/v1/orders?limit=");
        (void)buf_int(out, limit);
        (void)buf_str(out, "&after=");
        (void)buf_str(out, db_text(result, limit - 1, 0));
        (void)buf_char(out, '"');
    }
    (void)buf_char(out, '}');
}

static void listed(const struct db_result *result, void *arg)
{
    struct listing *listing = arg;
    struct door *door = listing->door;
    if (db_status(result) != DB_OK) {
        if (db_status(result) == DB_ERROR)
            log_error("orders cannot be listed", LOG_STR("problem", db_message(result)));
        answer_plain_problem(door, listing->request, STATS_ORDERS_LIST,
                             PROBLEM_DATABASE_UNAVAILABLE, NULL);
    } else {
        const struct http_header header = {"Cache-Control", "no-store"};
        encode(&door->out, result, listing->limit);
        answer_json(door, listing->request, STATS_ORDERS_LIST, 200, &door->out, &header, 1);
    }
    free(listing);
}

/* 0: not a number from 1 to LIMIT_MAX */
static int read_limit(const char *text)
{
    if (text == NULL)
        return LIMIT_DEFAULT;
    size_t len = strlen(text);
    if (len < 1 || len > 3 || strspn(text, "0123456789") != len)
        return 0;
    int limit = atoi(text);
    return limit <= LIMIT_MAX ? limit : 0;
}

void listing_get(struct door *door, struct http_request *request)
{
    struct jwt_claims buyer;
    if (answer_authenticate(door, request, STATS_ORDERS_LIST, &buyer) < 0)
        return;
    const char *limit_text = http_request_query(request, "limit");
    const char *after = http_request_query(request, "after");
    int limit = read_limit(limit_text);
    const char *wrong = NULL;
    if (limit == 0)
        wrong = "limit must be a number from 1 to 100";
    else if (after != NULL && !ids_verify(door->ids, buyer.user, after))
        wrong = "after must be the id of one of your orders";
    if (wrong != NULL) {
        answer_plain_problem(door, request, STATS_ORDERS_LIST, PROBLEM_INVALID_REQUEST, wrong);
        return;
    }
    struct listing *listing = malloc(sizeof *listing);
    const char *params[] = {buyer.user, after, limit_text == NULL ? "20" : limit_text};
    int code = ERR_NOMEM;
    if (listing != NULL) {
        *listing = (struct listing){door, request, limit};
        code = db_query(door->db, &list_orders, params, listed, listing);
    }
    if (code < 0) {
        free(listing);
        answer_plain_problem(door, request, STATS_ORDERS_LIST, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    }
}
