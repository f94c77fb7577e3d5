#include "producer/routes.h"

#include <string.h>

#include "common/shop/problem.h"
#include "producer/items.h"
#include "producer/orders/cancel.h"
#include "producer/orders/order_list.h"
#include "producer/orders/order_request.h"
#include "producer/orders/order_status.h"
#include "producer/orders/orders.h"
#include "producer/pages.h"
#include "producer/respond.h"
#include "producer/webhook/webhook.h"
#include "producer/webhook/webhook_signature.h"

#define ORDERS "/v1/orders"
#define WEBHOOKS "/v1/webhooks/stripe"
#define ORDER_PREFIX "/v1/orders/"
#define ITEMS "/v1/items"
#define ITEM_PREFIX "/v1/items/"

/* GET and HEAD are one: the server leaves the body of a HEAD out. */
static bool is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* The rest of `path` after `prefix`, if it is one non-empty segment; else NULL. */
static const char *segment(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(path, prefix, len) != 0 || path[len] == '\0' || strchr(path + len, '/') != NULL)
        return NULL;
    return path + len;
}

static void other_method(struct api *api, struct http_request *request, const char *method,
                         const char *allow)
{
    if (strcmp(method, "OPTIONS") == 0)
        respond_preflight(api, request, allow);
    else
        respond_not_allowed(api, request, allow);
}

static void handle_orders(struct api *api, struct http_request *request, const char *method)
{
    if (strcmp(method, "POST") == 0)
        orders_post(api, request);
    else if (is_get(method))
        order_list_get(api, request);
    else
        other_method(api, request, method, "GET, HEAD, POST, OPTIONS");
}

static void handle_order(struct api *api, struct http_request *request, const char *method,
                         const char *id)
{
    if (is_get(method))
        order_status_get(api, request, id);
    else if (strcmp(method, "DELETE") == 0)
        cancel_delete(api, request, id);
    else
        other_method(api, request, method, "GET, HEAD, DELETE, OPTIONS");
}

static void handle_item(struct api *api, struct http_request *request, const char *method,
                        const char *sku)
{
    if (is_get(method))
        items_get(api, request, sku);
    else
        other_method(api, request, method, "GET, HEAD, OPTIONS");
}

static void handle_items(struct api *api, struct http_request *request, const char *method)
{
    if (is_get(method))
        items_list(api, request);
    else
        other_method(api, request, method, "GET, HEAD, OPTIONS");
}

/* The API's pages about itself. False: it is none of them. */
static bool handle_page(struct api *api, struct http_request *request, const char *method,
                        const char *path)
{
    enum problem_type type = PROBLEM_COUNT;
    bool openapi = strcmp(path, PAGES_OPENAPI) == 0;
    if (!openapi && problem_by_path(path, &type) < 0)
        return false;
    if (!is_get(method))
        other_method(api, request, method, "GET, HEAD, OPTIONS");
    else if (openapi)
        pages_openapi(api, request);
    else
        pages_problem(api, request, type);
    return true;
}

static bool is_webhook(const struct api *api, const char *path)
{
    return strcmp(path, WEBHOOKS) == 0 && api->webhook_secret[0] != '\0';
}

size_t routes_body_max(const struct http_request *request, const struct api *api)
{
    bool webhook = is_webhook(api, http_request_path(request));
    return webhook ? WEBHOOK_BODY_MAX : ORDER_REQUEST_BODY_MAX;
}

void routes_handle(struct http_request *request, void *arg)
{
    struct api *api = arg;
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    if (api->closing) {
        respond_plain_problem(api, request, STATS_OTHER, PROBLEM_OVERLOADED,
                              "this server is leaving");
        return;
    }
    if (strcmp(path, ORDERS) == 0) {
        handle_orders(api, request, method);
        return;
    }
    if (strcmp(path, ITEMS) == 0) {
        handle_items(api, request, method);
        return;
    }
    if (is_webhook(api, path)) {
        if (strcmp(method, "POST") == 0)
            webhook_post(api, request);
        else
            respond_not_allowed(api, request, "POST");
        return;
    }
    const char *order = segment(path, ORDER_PREFIX);
    const char *sku = segment(path, ITEM_PREFIX);
    if (handle_page(api, request, method, path))
        return;
    if (order == NULL && sku == NULL)
        respond_plain_problem(api, request, STATS_OTHER, PROBLEM_NOT_FOUND, "no such path");
    else if (order != NULL)
        handle_order(api, request, method, order);
    else
        handle_item(api, request, method, sku);
}
