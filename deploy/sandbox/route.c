/* Routes: who may ask, how often, for what. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "deploy/sandbox/gateway_impl.h"

#define BANK "/3ds/"
#define CONTROL "/_control"
#define GLOBAL_RATE "global-rate"
#define ENDPOINT_RATE "endpoint-rate"

struct route {
    const char *method;
    const char *path;  /* with a slash at its end, an id comes next */
    const char *after; /* what follows the id; "": nothing */
    void (*handle)(struct gateway *gateway, struct http_request *request, const char *id);
    bool may_fail; /* by the faults of what reads or cancels */
};

static const struct route routes[] = {
    {"GET", "/v1/payment_intents", "", read_intents, true},
    {"GET", "/v1/payment_intents/", "", read_intent, true},
    {"POST", "/v1/payment_intents", "", charge_create, false},
    {"POST", "/v1/payment_intents/", "/confirm", charge_confirm, false},
    {"POST", "/v1/payment_intents/", "/capture", intent_capture, true},
    {"POST", "/v1/payment_intents/", "/cancel", intent_cancel, true},
    {"GET", "/v1/charges/", "", read_charge, true},
    {"GET", "/v1/refunds", "", read_refunds, true},
    {"GET", "/v1/refunds/", "", read_refund, true},
    {"POST", "/v1/refunds", "", refund_create, false},
    {"GET", "/v1/disputes", "", read_disputes, true},
    {"GET", "/v1/disputes/", "", read_dispute, true},
    {"GET", "/v1/payment_methods/", "", read_method, true},
    {"POST", "/v1/payment_methods", "", method_create, false},
    {"POST", "/v1/payment_methods/", "/attach", method_attach, false},
    {"POST", "/v1/payment_methods/", "/detach", method_detach, false},
    {"GET", "/v1/customers/", "", read_customer, true},
    {"POST", "/v1/customers", "", customer_create, false},
};
_Static_assert(ARRAY_LEN(routes) <= GATEWAY_ROUTES_MAX, "each route has a limit");

static const struct answer_error no_route = {.status = 404,
                                             .type = "invalid_request_error",
                                             .message = "Unrecognized request URL or method."};
static const struct answer_error wrong_key = {
    .status = 401, .type = "invalid_request_error", .message = "Invalid API key provided."};
static const struct answer_error wrong_version = {
    .status = 400, .type = "invalid_request_error", .message = "Invalid Stripe API version."};
static const struct answer_error many = {.status = 429,
                                         .type = "invalid_request_error",
                                         .code = "rate_limit",
                                         .message = "Too many requests hit the API too quickly."};
static const struct answer_error broken = {
    .status = 500, .type = "api_error", .message = "Something broke."};

/* ---- who may ask ---- */

static bool authorized(const struct gateway *g, struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    const char *value = http_request_header(request, "Authorization");
    if (value == NULL || strncmp(value, scheme, sizeof scheme - 1) != 0 ||
        value[sizeof scheme - 1] == '\0')
        return false;
    return g->secret_key[0] == '\0' || strcmp(value + sizeof scheme - 1, g->secret_key) == 0;
}

/* A date, or a date and a name: 2023-10-16, 2025-03-31.basil. */
static bool is_version(const char *version)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool digit = version[i] >= '0' && version[i] <= '9';
        if (form[i] == 'd' ? !digit : version[i] != '-')
            return false;
    }
    const char *name = version + sizeof form - 1;
    if (name[0] == '\0')
        return true;
    size_t len = strspn(name + 1, "abcdefghijklmnopqrstuvwxyz");
    return name[0] == '.' && len > 0 && name[1 + len] == '\0';
}

/* ---- how often ---- */

/* Limits come before everything else, idempotency keys included. */
static bool within_limits(struct gateway *g, size_t route, const char **ret_reason)
{
    const struct settings *settings = &g->faults.settings;
    uint64_t now_ms = clock_mono_ms();
    *ret_reason = ENDPOINT_RATE;
    if (!limit_allows(&g->limits[route], settings->rate_endpoint, now_ms))
        return false;
    *ret_reason = GLOBAL_RATE;
    if (!limit_allows(&g->limit_all, settings->rate_all, now_ms))
        return false;
    limit_count(&g->limits[route], now_ms);
    limit_count(&g->limit_all, now_ms);
    return true;
}

static void refuse_rate(struct gateway *g, struct http_request *request, const char *reason)
{
    struct answer_error error = many;
    error.limit = reason;
    g->limited++;
    gateway_refuse(g, request, &error, NULL, false);
}

/* ---- for what ---- */

/* Answers a request that reads or cancels in a wrong way, as the faults want it; false: not now. */
static bool fail_read(struct gateway *g, struct http_request *request)
{
    static const char html[] = "<html><body>{\"object\":\"list\",\"data\":[]</body></html>";
    const struct http_response garbage = {
        .status = 200, .content_type = "text/html", .body = html, .body_len = sizeof html - 1};
    enum fault fault = faults_pick_read(&g->faults);
    if (fault == FAULT_RESET)
        http_abort(request, NULL, 0);
    else if (fault == FAULT_GARBAGE)
        http_respond(request, &garbage);
    else if (fault != FAULT_NONE)
        gateway_refuse(g, request, fault == FAULT_429 ? &many : &broken, NULL, false);
    return fault != FAULT_NONE;
}

/* Whether `path` is the route's; then `ret_id` holds the id in it. */
static bool matches(const struct route *route, const char *path, char ret_id[2 * RECORD_ID_SIZE])
{
    size_t len = strlen(route->path);
    size_t after = strlen(route->after);
    size_t all = strlen(path);
    ret_id[0] = '\0';
    if (strncmp(path, route->path, len) != 0)
        return false;
    if (route->path[len - 1] != '/')
        return all == len;
    if (all < len + after + 1 || all - len - after >= (size_t)2 * RECORD_ID_SIZE ||
        strcmp(path + all - after, route->after) != 0)
        return false;
    memcpy(ret_id, path + len, all - len - after);
    ret_id[all - len - after] = '\0';
    return strchr(ret_id, '/') == NULL;
}

static void follow(struct gateway *g, struct http_request *request, size_t index, const char *id)
{
    const char *reason = NULL;
    g->looks += routes[index].handle == read_intent;
    if (!within_limits(g, index, &reason))
        refuse_rate(g, request, reason);
    else if (!routes[index].may_fail || !fail_read(g, request))
        routes[index].handle(g, request, id);
}

static void route(struct gateway *g, struct http_request *request)
{
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    char id[2 * RECORD_ID_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].method, method) == 0 && matches(&routes[i], path, id)) {
            follow(g, request, i, id);
            return;
        }
    }
    gateway_refuse(g, request, &no_route, NULL, false);
}

static void control(struct gateway *g, struct http_request *request, const char *method)
{
    if (strcmp(method, "GET") == 0)
        control_show(g, request);
    else if (strcmp(method, "POST") == 0)
        control_set(g, request);
    else
        gateway_refuse(g, request, &no_route, NULL, false);
}

void gateway_handle(struct http_request *request, void *arg)
{
    struct gateway *g = arg;
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    bool bank = strncmp(path, BANK, sizeof BANK - 1) == 0; /* a buyer has no key of ours */
    if (bank && strcmp(method, "GET") == 0)
        bank_show(g, request, path + sizeof BANK - 1);
    else if (http_request_body_too_large(request))
        gateway_refuse_parameter(g, request, NULL);
    else if (bank && strcmp(method, "POST") == 0)
        intent_authenticate(g, request, path + sizeof BANK - 1);
    else if (!authorized(g, request))
        gateway_refuse(g, request, &wrong_key, NULL, false);
    else if (strcmp(path, CONTROL) == 0)
        control(g, request, method);
    else if (!is_version(gateway_version(g, request)))
        gateway_refuse(g, request, &wrong_version, NULL, false);
    else
        route(g, request);
}
