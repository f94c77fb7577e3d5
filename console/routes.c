#include "console/routes.h"

#include <string.h>

#include "common/base/buf.h"
#include "console/call.h"
#include "console/changes.h"
#include "console/feed.h"
#include "console/items.h"
#include "console/ops.h"
#include "console/orders.h"
#include "console/page.h"

#define ALLOW_MAX 64
#define READS JWT_SCOPE_SHOP_READ
#define CHANGES JWT_SCOPE_SHOP
#define WATCHES JWT_SCOPE_OPERATOR_READ
#define OPERATES JWT_SCOPE_OPERATOR
#define OF_OPERATORS "/v1/ops/" /* what the page asks: for a browser of ours alone */
#define ORDER_FILTERS "customer sku reference status since until limit after"

/* The answer to a call that reads; NULL: it changes something. */
struct route {
    const char *method;
    const char *path; /* "*" stands for a segment */
    enum stats_route stats;
    unsigned scope;
    void (*get)(struct call *call);
    enum change_kind change;
    const char *arguments; /* of its query, with a blank between them */
};

static const struct route routes[] = {
    {"GET", "/v1/shop/items", STATS_ITEMS, READS, items_list, 0, "limit after"},
    {"POST", "/v1/shop/items", STATS_ITEMS_POST, CHANGES, NULL, CHANGE_CREATE, ""},
    {"GET", "/v1/shop/items/*", STATS_ITEM, READS, items_get, 0, ""},
    {"PATCH", "/v1/shop/items/*", STATS_ITEM_PATCH, CHANGES, NULL, CHANGE_SET, "wait"},
    {"POST", "/v1/shop/items/*/restock", STATS_RESTOCK, CHANGES, NULL, CHANGE_RESTOCK, "wait"},
    {"POST", "/v1/shop/items/*/pause", STATS_PAUSE, CHANGES, NULL, CHANGE_PAUSE, "wait"},
    {"POST", "/v1/shop/items/*/resume", STATS_RESUME, CHANGES, NULL, CHANGE_RESUME, "wait"},
    {"GET", "/v1/shop/orders", STATS_ORDERS, READS, orders_list, 0, ORDER_FILTERS},
    {"GET", "/v1/shop/orders/*", STATS_ORDER, READS, orders_get, 0, ""},
    {"POST", "/v1/shop/orders/*/refund", STATS_REFUND, CHANGES, NULL, CHANGE_REFUND, "wait"},
    {"POST", "/v1/shop/orders/*/cancel", STATS_CANCEL, CHANGES, NULL, CHANGE_CANCEL, "wait"},
    {"GET", "/v1/shop/commands/*", STATS_COMMAND, READS | WATCHES, changes_get, 0, ""},
    {"GET", "/v1/shop/events", STATS_EVENTS, READS, feed_get, 0, "after limit wait"},
    {"GET", "/v1/ops/overview", STATS_OVERVIEW, WATCHES, ops_overview, 0, ""},
    {"GET", "/v1/ops/history", STATS_HISTORY, WATCHES, ops_history, 0, ""},
    {"POST", "/v1/ops/orders/*/resolve", STATS_RESOLVE, OPERATES, NULL, CHANGE_RESOLVE, "wait"},
    {"POST", "/v1/ops/dead-letters/replay", STATS_REPLAY, OPERATES, NULL, CHANGE_REPLAY, "wait"},
};

/* Whether the path is of this shape; then what its "*" stands for, which is "" without one. */
static bool matches(const char *shape, const char *path, char ret_name[CALL_NAME_SIZE])
{
    const char *star = strchr(shape, '*');
    size_t head = star == NULL ? strlen(shape) : (size_t)(star - shape);
    ret_name[0] = '\0';
    if (star == NULL || strncmp(shape, path, head) != 0)
        return strcmp(shape, path) == 0;
    size_t len = strcspn(path + head, "/");
    if (len == 0 || len >= CALL_NAME_SIZE || strcmp(path + head + len, star + 1) != 0)
        return false;
    memcpy(ret_name, path + head, len);
    ret_name[len] = '\0';
    return true;
}

static void run(struct call *call, const struct route *route)
{
    if (call->console->leaving) {
        call_refuse(call, PROBLEM_OVERLOADED, "this server is leaving");
        return;
    }
    bool of_operators = strncmp(route->path, OF_OPERATORS, sizeof OF_OPERATORS - 1) == 0;
    if ((of_operators && page_refuse_stranger(call)) || call_authenticate(call, route->scope) < 0 ||
        call_arguments(call, route->arguments) < 0)
        return;
    if (route->get != NULL)
        route->get(call);
    else
        changes_ask(call, route->change);
}

/* No call has this method and path: 405 where others have the path. */
static void refuse(struct call *call, const char *path)
{
    struct buf allow;
    char name[CALL_NAME_SIZE];
    buf_init(&allow, ALLOW_MAX);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (matches(routes[i].path, path, name))
            (void)buf_printf(&allow, "%s%s%s", allow.len > 0 ? ", " : "", routes[i].method,
                             routes[i].get != NULL ? ", HEAD" : "");
    if (allow.len > 0)
        call_not_allowed(call, buf_text(&allow));
    else
        call_refuse(call, PROBLEM_NOT_FOUND, "no such path");
    buf_free(&allow);
}

void routes_handle(struct http_request *request, void *arg)
{
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    struct call *call = call_new(arg, request, STATS_OTHER);
    if (call == NULL)
        return;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].method, method) != 0 || !matches(routes[i].path, path, call->name))
            continue;
        call->route = routes[i].stats;
        run(call, &routes[i]);
        return;
    }
    if (!page_has(path))
        refuse(call, path);
    else if (strcmp(method, "GET") == 0)
        page_get(call, path);
    else
        call_not_allowed(call, "GET, HEAD");
}
