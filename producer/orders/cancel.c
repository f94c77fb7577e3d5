#include "producer/orders/cancel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/status.h"
#include "producer/respond.h"

static const struct pg_statement request_cancel = {
    "producer_request_cancel", "select checkout.request_cancel($1::uuid, $2::text)", 2};

struct cancel {
    struct api *api;
    struct http_request *request;
    char id[IDS_ORDER_SIZE];
};

static void refuse(struct cancel *c, const char *status)
{
    char detail[96];
    if (order_state_of(status) == ORDER_STATE_RESERVED)
        (void)snprintf(detail, sizeof detail, "its payment is under way");
    else
        (void)snprintf(detail, sizeof detail, "it is %.40s already", status);
    const struct problem problem = {
        .type = PROBLEM_NOT_CANCELLABLE, .detail = detail, .order_id = c->id};
    respond_problem(c->api, c->request, STATS_ORDER_DELETE, &problem);
}

/* 202 while it is being cancelled, 200 when it is. */
static void answer(struct cancel *c, const char *status)
{
    bool cancelled = order_state_of(status) == ORDER_STATE_CANCELLED;
    struct buf *out = &c->api->out;
    buf_reset(out);
    (void)buf_printf(out,
                     "{\"id\":\"%s\",\"status\":\"%s\",\"message\":\"%s\","
                     "\"status_url\":\"/v1/orders/%s\"}",
                     c->id, status,
                     cancelled ? "Your order is cancelled."
                     : order_state_of(status) == ORDER_STATE_RESERVED
                         ? "We're cancelling your order if you have not paid for it yet."
                         : "We're cancelling your order if its turn has not come yet.",
                     c->id);
    const struct http_header headers[] = {{"Cache-Control", "no-store"}, {"Retry-After", "1"}};
    respond_json(c->api, c->request, STATS_ORDER_DELETE, cancelled ? 200 : 202, out, headers,
                 cancelled ? 1 : 2);
}

static bool may_be_cancelled(enum order_state state)
{
    return state == ORDER_STATE_QUEUED || state == ORDER_STATE_WAITING ||
           state == ORDER_STATE_CANCELLED;
}

static void requested(const struct pg_result *result, void *arg)
{
    struct cancel *c = arg;
    const char *status = pg_status(result) == PG_OK ? pg_text(result, 0, 0) : "";
    if (pg_status(result) != PG_OK) {
        if (pg_status(result) == PG_ERROR)
            log_error("cancel request failed", LOG_STR("order_id", c->id),
                      LOG_STR("request_id", http_request_id(c->request)),
                      LOG_STR("problem", pg_message(result)));
        respond_plain_problem(c->api, c->request, STATS_ORDER_DELETE, PROBLEM_DATABASE_UNAVAILABLE,
                              "it is safe to ask again");
    } else if (strcmp(status, "acting") == 0) { /* its buyer is at the bank */
        answer(c, order_state_word(ORDER_STATE_RESERVED));
    } else if (strcmp(status, "forgotten") == 0) {
        respond_plain_problem(c->api, c->request, STATS_ORDER_DELETE, PROBLEM_NOT_FOUND,
                              "no such order");
    } else if (may_be_cancelled(order_state_of(status))) {
        answer(c, status);
    } else {
        refuse(c, status);
    }
    free(c);
}

void cancel_delete(struct api *api, struct http_request *request, const char *id)
{
    struct jwt_claims buyer;
    if (respond_authenticate(api, request, STATS_ORDER_DELETE, &buyer) < 0)
        return;
    if (!ids_verify(api->ids, buyer.user, id)) {
        respond_plain_problem(api, request, STATS_ORDER_DELETE, PROBLEM_NOT_FOUND, "no such order");
        return;
    }
    struct cancel *c = calloc(1, sizeof *c);
    if (c == NULL) {
        respond_plain_problem(api, request, STATS_ORDER_DELETE, PROBLEM_OVERLOADED,
                              "out of memory");
        return;
    }
    c->api = api;
    c->request = request;
    memcpy(c->id, id, IDS_ORDER_SIZE);
    const char *params[] = {c->id, buyer.user};
    if (pg_query(api->sessions.writes, &request_cancel, params, requested, c) == 0)
        return;
    respond_plain_problem(api, request, STATS_ORDER_DELETE, PROBLEM_DATABASE_UNAVAILABLE, NULL);
    free(c);
}
