/* Answers of the API: counted, with the headers that all of them carry. */
#ifndef PRODUCER_RESPOND_H
#define PRODUCER_RESPOND_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/rate.h"
#include "common/shop/problem.h"
#include "producer/api.h"

/* A whole answer, but for what all answers carry. Texts are not owned. */
struct respond_page {
    unsigned status; /* 304: the body is left out */
    const char *content_type;
    const char *body;
    size_t body_len;
    const struct http_header *headers; /* up to 4 */
    size_t header_count;
};

void respond_page(struct api *api, struct http_request *request, const struct respond_page *page);

/* `headers`: up to 4 further ones. The request is invalid afterwards. */
void respond_json(struct api *api, struct http_request *request, enum stats_route route,
                  unsigned status, const struct buf *body, const struct http_header *headers,
                  size_t header_count);
void respond_problem(struct api *api, struct http_request *request, enum stats_route route,
                     const struct problem *problem);
/* A problem without further members; `detail` may be NULL. */
void respond_plain_problem(struct api *api, struct http_request *request, enum stats_route route,
                           enum problem_type type, const char *detail);
struct limited {
    const char *policy; /* its name */
    const char *detail;
    const struct rate *rate;
    int64_t wait_us;
};

/* 429: when to come again, and the limit, in Retry-After and in the fields RateLimit and
 * RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-11. */
void respond_limited(struct api *api, struct http_request *request, enum stats_route route,
                     const struct limited *limited);
/* 405 with `allow`. */
void respond_not_allowed(struct api *api, struct http_request *request, const char *allow);
/* 204 to a browser that asks what a page of `Origin` may do. */
void respond_preflight(struct api *api, struct http_request *request, const char *allow);

/* Who calls, by the bearer token. ERR_AUTH: it was answered 401, or 429 after too many such. */
MUST_CHECK int respond_authenticate(struct api *api, struct http_request *request,
                                    enum stats_route route, struct jwt_claims *ret_claims);

#endif
