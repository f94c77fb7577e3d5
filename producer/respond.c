#include "producer/respond.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http_bearer.h"
#include "common/shop/origins.h"
#include "common/shop/problem_respond.h"
#include "producer/limits/clients.h"

#define EXTRA_MAX 4
#define CORS_HEADERS 3
#define LIMIT_SIZE 64

static size_t put(struct http_header *headers, size_t count, const char *name, const char *value)
{
    headers[count] = (struct http_header){name, value};
    return count + 1;
}

/* The headers that let a page of an allowed origin read the answer. */
static size_t put_cors(const struct api *api, const struct http_request *request,
                       struct http_header *headers, size_t count)
{
    const char *origin = http_request_header(request, "Origin");
    if (!origins_allow(api->origins, origin))
        return count;
    count = put(headers, count, "Access-Control-Allow-Origin", origin);
    count = put(headers, count, "Vary", "Origin");
    return put(headers, count, "Access-Control-Expose-Headers",
               "Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id");
}

/* Not its path, in which may be whatever somebody typed. */
static void log_answer(struct http_request *request, enum stats_route route, unsigned status)
{
    log_debug("request answered", LOG_STR("request_id", http_request_id(request)),
              LOG_STR("method", http_request_method(request)),
              LOG_STR("route", stats_route_name(route)), LOG_INT("status", status));
}

static void answer(struct api *api, struct http_request *request, enum stats_route route,
                   const struct respond_page *page)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t count = put_cors(api, request, headers, 0);
    bool varies = count > 0;
    for (size_t i = 0; i < page->header_count && i < EXTRA_MAX; i++)
        if (!varies || strcmp(page->headers[i].name, "Vary") != 0)
            headers[count++] = page->headers[i];
    bool empty = page->status == 304;
    const struct http_response response = {.status = page->status,
                                           .content_type = empty ? NULL : page->content_type,
                                           .body = empty ? "" : page->body,
                                           .body_len = empty ? 0 : page->body_len,
                                           .headers = headers,
                                           .header_count = count};
    stats_request(&api->stats, route, page->status);
    log_answer(request, route, page->status);
    http_respond(request, &response);
}

void respond_page(struct api *api, struct http_request *request, const struct respond_page *page)
{
    answer(api, request, STATS_OTHER, page);
}

void respond_json(struct api *api, struct http_request *request, enum stats_route route,
                  unsigned status, const struct buf *body, const struct http_header *headers,
                  size_t header_count)
{
    answer(api, request, route,
           &(struct respond_page){.status = status,
                                  .content_type = "application/json",
                                  .body = buf_text(body),
                                  .body_len = body->len,
                                  .headers = headers,
                                  .header_count = header_count});
}

static void answer_problem_with(struct api *api, struct http_request *request,
                                enum stats_route route, const struct problem *problem,
                                const struct http_header *extra, size_t extra_count)
{
    struct http_header headers[CORS_HEADERS + EXTRA_MAX];
    size_t count = put_cors(api, request, headers, 0);
    for (size_t i = 0; i < extra_count && i < EXTRA_MAX; i++)
        headers[count++] = extra[i];
    stats_problem(&api->stats, problem->type);
    stats_request(&api->stats, route, problem_status(problem->type));
    log_answer(request, route, problem_status(problem->type));
    problem_respond(request, problem, headers, count);
}

void respond_problem(struct api *api, struct http_request *request, enum stats_route route,
                     const struct problem *problem)
{
    answer_problem_with(api, request, route, problem, NULL, 0);
}

void respond_plain_problem(struct api *api, struct http_request *request, enum stats_route route,
                           enum problem_type type, const char *detail)
{
    const struct problem problem = {.type = type, .detail = detail};
    answer_problem_with(api, request, route, &problem, NULL, 0);
}

void respond_limited(struct api *api, struct http_request *request, enum stats_route route,
                     const struct limited *limited)
{
    unsigned wait_s = (unsigned)((limited->wait_us + 999999) / 1000000);
    char limit[LIMIT_SIZE];
    char policy[LIMIT_SIZE];
    (void)snprintf(limit, sizeof limit, "\"%s\";r=0;t=%u", limited->policy, wait_s);
    int len =
        snprintf(policy, sizeof policy, "\"%s\";q=%" PRId64, limited->policy, limited->rate->count);
    if (limited->rate->period_s > 0)
        (void)snprintf(policy + len, sizeof policy - (size_t)len, ";w=%" PRId64,
                       limited->rate->period_s);
    const struct problem problem = {
        .type = PROBLEM_RATE_LIMITED, .detail = limited->detail, .retry_after_s = wait_s};
    const struct http_header headers[] = {{"RateLimit", limit}, {"RateLimit-Policy", policy}};
    answer_problem_with(api, request, route, &problem, headers, ARRAY_LEN(headers));
}

void respond_not_allowed(struct api *api, struct http_request *request, const char *allow)
{
    const struct problem problem = {.type = PROBLEM_METHOD_NOT_ALLOWED};
    const struct http_header header = {"Allow", allow};
    answer_problem_with(api, request, STATS_OTHER, &problem, &header, 1);
}

void respond_preflight(struct api *api, struct http_request *request, const char *allow)
{
    const struct http_header headers[] = {
        {"Access-Control-Allow-Methods", allow},
        {"Access-Control-Allow-Headers",
         "Authorization, Content-Type, Idempotency-Key, Prefer, traceparent, X-Request-Id"},
        {"Access-Control-Max-Age", "600"},
        {"Allow", allow}};
    bool allowed = origins_allow(api->origins, http_request_header(request, "Origin"));
    answer(api, request, STATS_PREFLIGHT,
           &(struct respond_page){.status = 204,
                                  .body = "",
                                  .headers = allowed ? headers : headers + 3,
                                  .header_count = allowed ? ARRAY_LEN(headers) : 1});
}

static bool answer_limited(struct api *api, struct http_request *request, enum stats_route route,
                           const char *address)
{
    struct limited limited = {.policy = "tokens",
                              .detail = "this address sends too many tokens that are not valid",
                              .rate = clients_bad_tokens(api->clients)};
    if (clients_may_try(api->clients, address, (int64_t)clock_mono_us(), &limited.wait_us))
        return false;
    respond_limited(api, request, route, &limited);
    return true;
}

static void answer_unauthorized(struct api *api, struct http_request *request,
                                enum stats_route route, bool absent, const char *detail)
{
    const struct problem problem = {.type = PROBLEM_UNAUTHORIZED, .detail = detail};
    const struct http_header authenticate = {"WWW-Authenticate",
                                             absent ? "Bearer" : "Bearer error=\"invalid_token\""};
    answer_problem_with(api, request, route, &problem, &authenticate, 1);
}

int respond_authenticate(struct api *api, struct http_request *request, enum stats_route route,
                         struct jwt_claims *ret_claims)
{
    const char *detail = NULL;
    const char *token = NULL;
    char address[ADDRESS_NAME_SIZE];
    int code = http_request_bearer(request, &token, &detail);
    bool absent = code == ERR_NOT_FOUND;
    bool counts = code == 0 && clients_bad_tokens(api->clients)->count > 0 &&
                  !jwt_known(api->jwt, token, strlen(token));
    if (counts) {
        clients_name(api->clients, request, &api->out, address);
        if (answer_limited(api, request, route, address))
            return ERR_AUTH;
    }
    if (code == 0)
        code = jwt_verify(api->jwt, token, strlen(token), JWT_AUD_API, clock_wall_ms() / 1000,
                          ret_claims, &detail);
    if (code == 0)
        return 0;
    if (counts)
        clients_tried(api->clients, address, (int64_t)clock_mono_us());
    answer_unauthorized(api, request, route, absent, detail);
    return ERR_AUTH;
}
