#include "common/shop/problem_respond.h"

#include <assert.h>
#include <stdio.h>

#include "common/base/buf.h"

#define OWN_HEADERS 2
#define REFUSED_RETRY_AFTER_S 1 /* another connection reaches another process */

void problem_respond(struct http_request *request, const struct problem *problem,
                     const struct http_header *headers, size_t header_count)
{
    struct http_header all[HTTP_HEADERS_MAX];
    char retry_after[16];
    struct buf body;
    size_t count = 0;
    assert(header_count <= HTTP_HEADERS_MAX - OWN_HEADERS);
    for (size_t i = 0; i < header_count; i++)
        all[count++] = headers[i];
    all[count++] = (struct http_header){"Cache-Control", "no-store"};
    if (problem_retry_after(problem) > 0) {
        (void)snprintf(retry_after, sizeof retry_after, "%u", problem_retry_after(problem));
        all[count++] = (struct http_header){"Retry-After", retry_after};
    }
    buf_init(&body, PROBLEM_BYTES_MAX);
    problem_encode(&body, problem);
    http_respond(request, &(struct http_response){.status = problem_status(problem->type),
                                                  .content_type = PROBLEM_CONTENT_TYPE,
                                                  .body = buf_text(&body),
                                                  .body_len = body.len,
                                                  .headers = all,
                                                  .header_count = count});
    buf_free(&body);
}

struct problem problem_of_refusal(unsigned status, const char *detail)
{
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST, .detail = detail};
    if (status == problem_status(PROBLEM_HEADERS_TOO_LARGE))
        problem.type = PROBLEM_HEADERS_TOO_LARGE;
    else if (status == problem_status(PROBLEM_OVERLOADED)) {
        problem.type = PROBLEM_OVERLOADED;
        problem.retry_after_s = REFUSED_RETRY_AFTER_S;
    }
    return problem;
}

void problem_refuse(struct http_request *request, unsigned status, const char *detail, void *arg)
{
    const struct problem problem = problem_of_refusal(status, detail);
    (void)arg;
    problem_respond(request, &problem, NULL, 0);
}
