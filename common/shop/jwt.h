/*
 * JSON Web Tokens (libjose), HS256 only, the algorithm pinned: buyers' tokens (aud=checkout) and
 * the short-lived tickets of websockets (aud=checkout-events). Verified tokens are cached.
 */
#ifndef COMMON_SHOP_JWT_H
#define COMMON_SHOP_JWT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define JWT_AUD_API "checkout"
#define JWT_AUD_EVENTS "checkout-events"
#define JWT_TOKEN_MAX 4096
#define JWT_USER_SIZE 256
#define JWT_CUSTOMER_SIZE 65

struct jwt;

struct jwt_claims {
    char user[JWT_USER_SIZE];                 /* sub: 1-255 bytes without control characters */
    char gateway_customer[JWT_CUSTOMER_SIZE]; /* claim `gateway_customer`: the gateway's id of the
                                                 buyer; "": absent */
    int64_t expires_s;                        /* exp: seconds since 1970 */
    int64_t stay_s; /* claim `stay`: seconds a websocket may stay open; 0: absent */
};

/* Copies the secret. NULL: no memory. */
struct jwt *jwt_new(const char *secret, size_t len);
void jwt_free(struct jwt *jwt);

/*
 * Checks signature, alg, aud, exp (and nbf, iat if there) against `now_s`. 0, or ERR_AUTH,
 * ERR_EXPIRED, ERR_NOMEM with a static text for the client in `ret_problem`.
 */
MUST_CHECK int jwt_verify(struct jwt *jwt, const char *token, size_t len, const char *audience,
                          int64_t now_s, struct jwt_claims *ret_claims, const char **ret_problem);

/* Signs a token for `user`. The caller frees *ret_token. 0, ERR_NOMEM, or ERR_INVALID: such a name
 * is too long for any token. */
MUST_CHECK int jwt_sign(struct jwt *jwt, const char *user, const char *audience, int64_t issued_s,
                        int64_t expires_s, int64_t stay_s, char **ret_token);

#endif
