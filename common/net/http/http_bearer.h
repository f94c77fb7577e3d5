/* The bearer token of a request (RFC 6750), which every server reads alike. */
#ifndef COMMON_NET_HTTP_HTTP_BEARER_H
#define COMMON_NET_HTTP_HTTP_BEARER_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/http/http.h"

/*
 * The token of `Authorization: Bearer <token>`, valid until the answer. ERR_NOT_FOUND: there is no
 * Authorization. ERR_AUTH: there is one that names no token, or more than one. Both with a static
 * text for the client in `ret_problem`.
 */
MUST_CHECK int http_request_bearer(const struct http_request *request, const char **ret_token,
                                   const char **ret_problem);
/* The same of the first of `count` headers (NULL: none). Pure. */
MUST_CHECK int http_bearer_read(const char *header, size_t count, const char **ret_token,
                                const char **ret_problem);

#endif
