/* The claims of a token that is signed by one of our keys: read once, and judged whenever the
 * token comes. */
#ifndef COMMON_IDENTITY_CLAIMS_H
#define COMMON_IDENTITY_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct json_t;

struct claims {
    const char *user;     /* `sub` */
    const char *customer; /* `gateway_customer`; "": none */
    const char *human;    /* `human`; "": none, or none that can be read */
    const char *email;    /* `email`, if `email_verified` is true and it is an address; "": none */
    int64_t expires_s;    /* `exp` */
    int64_t not_before_s; /* the later one of `nbf` and `iat` */
    int64_t stay_s;       /* `stay` */
    bool for_api;         /* `aud` */
    bool for_events;
    bool for_console;
    unsigned scopes; /* `scope`: of JWT_SCOPE_… */
};

/* `issuer`: what `iss` must be; "": anything. The texts point into `json`. 0, or ERR_AUTH with a
 * static text in `ret_problem`. */
MUST_CHECK int claims_read(const struct json_t *json, const char *issuer, struct claims *ret_claims,
                           const char **ret_problem);

/* Whether the token is for `audience`, and now. 0, ERR_AUTH or ERR_EXPIRED. */
MUST_CHECK int claims_judge(const struct claims *claims, const char *audience, int64_t now_s,
                            int64_t leeway_s, const char **ret_problem);

#endif
