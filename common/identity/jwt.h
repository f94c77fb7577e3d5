/*
 * JSON Web Tokens: buyers' tokens (aud=checkout), and the short-lived tickets of websockets
 * (aud=checkout-events), each with keys of its own. A key has one algorithm, so a token chooses
 * none. Verified tokens are cached.
 */
#ifndef COMMON_IDENTITY_JWT_H
#define COMMON_IDENTITY_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/identity/names.h"

#define JWT_TOKEN_MAX 4096

struct key_set;
struct jwt;

/* Whose tokens are taken. */
struct jwt_options {
    const char *secret;   /* of HS256; also signs */
    size_t secret_len;    /* 0: no token is taken by it */
    const char *previous; /* the secret before it, during a rotation */
    size_t previous_len;
    const char *issuer; /* the `iss` that is needed; NULL or "": any */
    int64_t leeway_s;   /* how far the issuer's clock may be from ours: for exp; for nbf and iat, 60
                           at least */
};

struct jwt_claims {
    char user[JWT_USER_SIZE];                 /* sub: 1-255 bytes without control characters */
    char gateway_customer[JWT_CUSTOMER_SIZE]; /* claim `gateway_customer`: the gateway's id of the
                                                 buyer; "": absent */
    char human[JWT_HUMAN_SIZE]; /* claim `human`: the challenges that the buyer passed (job.h); "":
                                   none */
    char email[JWT_EMAIL_SIZE]; /* claim `email` where `email_verified` is true; "": none */
    unsigned scopes;            /* claim `scope`: of JWT_SCOPE_… */
    int64_t expires_s;          /* exp: seconds since 1970 */
    int64_t stay_s;             /* claim `stay`: seconds a websocket may stay open; 0: absent */
};

/* Copies the options. NULL: no memory. */
struct jwt *jwt_new(const struct jwt_options *options);
void jwt_free(struct jwt *jwt);
/* Takes the tokens of these public keys (which it owns then) and of no others that it had. Forgets
 * the verified tokens, so those of a key that is gone are refused at once. */
void jwt_use_keys(struct jwt *jwt, struct key_set *keys);

/*
 * Checks signature, alg, kid, iss, aud, exp (and nbf, iat if there) against `now_s`. 0, or
 * ERR_AUTH, ERR_EXPIRED, ERR_NOMEM with a static text for the client in `ret_problem`.
 */
MUST_CHECK int jwt_verify(struct jwt *jwt, const char *token, size_t len, const char *audience,
                          int64_t now_s, struct jwt_claims *ret_claims, const char **ret_problem);

/* Whether the token was verified before, so that its signature costs nothing. */
bool jwt_known(const struct jwt *jwt, const char *token, size_t len);

/* Signs a token for `user`. The caller frees *ret_token. 0, ERR_NOMEM, or ERR_INVALID: such a name
 * is too long for any token, or there is no secret. */
MUST_CHECK int jwt_sign(struct jwt *jwt, const char *user, const char *audience, int64_t issued_s,
                        int64_t expires_s, int64_t stay_s, char **ret_token);

#endif
