#include "console/orders.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/status.h"

#define LIMIT_USUAL 50
#define LIMIT_MAX 200
#define NUMBER_SIZE 24
#define TIME_SIZE 28 /* with microseconds */

static const struct pg_statement find_order = {"console_order",
                                               "select checkout.console_order($1::uuid)::text", 1};
/* A page's last row is behind a cursor: its time and its id. */
static const struct pg_statement list_orders = {
    "console_orders",
    "select to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '_' || order_id,"
    "       details::text"
    "  from checkout.console_orders($1, $2, $3, $4, $5::timestamptz, $6::timestamptz,"
    "                               $7::timestamptz, $8::uuid, $9::integer)",
    9};
enum { USER, SKU, REFERENCE, STATUS, SINCE, UNTIL, BEFORE, BEFORE_ID, LIMIT, PARAMS };

static void found(const struct pg_result *result, void *arg)
{
    call_answer_row(arg, result, "there is no such order: it is not decided yet, or was purged");
}

void orders_get(struct call *call)
{
    const char *const params[] = {call->name};
    if (!ids_well_formed(call->name))
        call_refuse(call, PROBLEM_NOT_FOUND, "no such order");
    else
        call_query(call, call->console->sessions.reads, &find_order, params, found);
}

static void listed(const struct pg_result *result, void *arg)
{
    call_answer_page(arg, result, "orders");
}

/* ---- what is asked for ---- */

static bool is_time(const char *text)
{
    int64_t ms;
    return clock_parse_rfc3339(text, &ms) == 0;
}

/* A token's sub is JSON, so it is UTF-8; an argument may be any bytes. */
static bool is_user(const char *text)
{
    return job_user_valid(text, strlen(text)) && utf8_valid(text, strlen(text));
}

/* NULL, or what is wrong. */
static const char *check(const char *const params[PARAMS])
{
    enum order_state state = order_state_of(params[STATUS]);
    if (params[USER] != NULL && !is_user(params[USER]))
        return "customer must be the sub of a buyer's token";
    if (params[SKU] != NULL && !job_sku_valid(params[SKU], strlen(params[SKU])))
        return "sku must be that of an item";
    if (params[REFERENCE] != NULL &&
        !job_reference_valid(params[REFERENCE], strlen(params[REFERENCE])))
        return "reference must be 1 to 64 visible ASCII characters";
    if (params[STATUS] != NULL && (state == ORDER_STATE_NONE || state == ORDER_STATE_QUEUED))
        return "status must be waiting, reserved, confirmed, rejected, cancelled or refunded";
    if ((params[SINCE] != NULL && !is_time(params[SINCE])) ||
        (params[UNTIL] != NULL && !is_time(params[UNTIL])))
        return "since and until must be times in UTC, like 2026-01-31T18:00:00Z";
    return NULL;
}

/* Splits a cursor in two: a time, which is copied, and an id. */
static bool read_cursor(const char *text, char ret_time[TIME_SIZE], const char **ret_id)
{
    const char *mark = strchr(text, '_');
    size_t len = mark == NULL ? 0 : (size_t)(mark - text);
    if (len == 0 || len >= TIME_SIZE)
        return false;
    memcpy(ret_time, text, len);
    ret_time[len] = '\0';
    *ret_id = mark + 1;
    return is_time(ret_time) && ids_well_formed(*ret_id);
}

void orders_list(struct call *call)
{
    const struct http_request *request = call->request;
    char limit[NUMBER_SIZE], before[TIME_SIZE];
    const char *after = http_request_query(request, "after");
    if (call_number(call, "limit", 1, LIMIT_MAX, LIMIT_USUAL, &call->limit) < 0)
        return;
    (void)snprintf(limit, sizeof limit, "%lld", (long long)call->limit);
    const char *params[PARAMS] = {
        [USER] = http_request_query(request, "customer"),
        [SKU] = http_request_query(request, "sku"),
        [REFERENCE] = http_request_query(request, "reference"),
        [STATUS] = http_request_query(request, "status"),
        [SINCE] = http_request_query(request, "since"),
        [UNTIL] = http_request_query(request, "until"),
        [LIMIT] = limit,
    };
    const char *wrong = check(params);
    if (wrong == NULL && after != NULL) {
        params[BEFORE] = before;
        if (!read_cursor(after, before, &params[BEFORE_ID]))
            wrong = "after must be the \"next\" of the page before";
    }
    if (wrong != NULL)
        call_refuse(call, PROBLEM_INVALID_REQUEST, wrong);
    else
        call_query(call, call->console->sessions.reads, &list_orders, params, listed);
}
