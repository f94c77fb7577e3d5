#include "producer/pages.h"

#include <string.h>

#include "common/shop/problem_page.h"
#include "producer/openapi.h"
#include "producer/respond.h"

/* If-None-Match, a list, names the document as it is, or any. */
static bool unchanged(struct api *api, const struct http_request *request)
{
    const char *known = http_request_list(request, "If-None-Match", &api->out);
    return known != NULL && (strcmp(known, "*") == 0 || strstr(known, openapi_etag) != NULL);
}

void pages_openapi(struct api *api, struct http_request *request)
{
    const struct http_header headers[] = {
        {"ETag", openapi_etag}, {"Cache-Control", "public, max-age=300"}, {"Vary", "Origin"}};
    const struct respond_page page = {.status = unchanged(api, request) ? 304 : 200,
                                      .content_type = "application/json",
                                      .body = openapi_json,
                                      .body_len = openapi_json_len,
                                      .headers = headers,
                                      .header_count = ARRAY_LEN(headers)};
    respond_page(api, request, &page);
}

void pages_problem(struct api *api, struct http_request *request, enum problem_type type)
{
    const struct http_header headers[] = {{"Cache-Control", PROBLEM_PAGE_CACHE_CONTROL},
                                          {"Content-Security-Policy", PROBLEM_PAGE_POLICY},
                                          {"Vary", "Origin"}};
    struct buf body;
    buf_init(&body, PROBLEM_PAGE_MAX);
    problem_page_encode(&body, type);
    const struct respond_page page = {.status = 200,
                                      .content_type = PROBLEM_PAGE_CONTENT_TYPE,
                                      .body = buf_text(&body),
                                      .body_len = body.len,
                                      .headers = headers,
                                      .header_count = ARRAY_LEN(headers)};
    respond_page(api, request, &page);
    buf_free(&body);
}
