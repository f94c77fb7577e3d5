/* The one way to answer an HTTP request with a problem. */
#ifndef COMMON_SHOP_PROBLEM_RESPOND_H
#define COMMON_SHOP_PROBLEM_RESPOND_H

#include <stddef.h>

#include "common/net/http/http.h"
#include "common/shop/problem.h"

/* Answers with the problem, Cache-Control: no-store, Retry-After where the problem has one, and
 * up to 10 further `headers`. The request is invalid afterwards. */
void problem_respond(struct http_request *request, const struct problem *problem,
                     const struct http_header *headers, size_t header_count);

/* For http_options.refuse: requests that the HTTP server itself refuses. */
void problem_refuse(struct http_request *request, unsigned status, const char *detail, void *arg);
/* What it answers. */
struct problem problem_of_refusal(unsigned status, const char *detail);

#endif
