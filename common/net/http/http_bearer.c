#include "common/net/http/http_bearer.h"

#include <string.h>
#include <strings.h>

#include "common/base/err.h"

#define NAME "Authorization"

int http_bearer_read(const char *header, size_t count, const char **ret_token,
                     const char **ret_problem)
{
    static const char scheme[] = "Bearer ";
    if (header == NULL) {
        *ret_problem = "send Authorization: Bearer and the token";
        return ERR_NOT_FOUND;
    }
    if (count > 1) {
        *ret_problem = "there is more than one Authorization";
        return ERR_AUTH;
    }
    if (strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
        *ret_problem = "the scheme of Authorization must be Bearer";
        return ERR_AUTH;
    }
    const char *token = header + sizeof scheme - 1;
    token += strspn(token, " ");
    if (*token == '\0') {
        *ret_problem = "there is no token in Authorization";
        return ERR_AUTH;
    }
    *ret_token = token;
    return 0;
}

int http_request_bearer(const struct http_request *request, const char **ret_token,
                        const char **ret_problem)
{
    return http_bearer_read(http_request_header(request, NAME),
                            http_request_header_count(request, NAME), ret_token, ret_problem);
}
