#include "common/identity/jwt.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/identity/claims.h"
#include "common/identity/key_set.h"
#include "common/identity/token.h"
#include "common/identity/token_cache.h"

_Static_assert(JWT_TOKEN_MAX == TOKEN_MAX, "the same tokens");

#define SECRETS 2 /* the one that signs, and the one before it */
#define SIGNED_MAX                                                                                 \
    2048 /* bytes of the claims that we sign: each byte of the user's name may need six */

struct jwt {
    struct key *secrets[SECRETS]; /* NULL: none */
    struct hmac *signer;
    struct key_set *keys; /* NULL: none */
    struct token_cache *cache;
    char *issuer;
    int64_t leeway_s;
};

static bool add_secret(struct key **key, const char *secret, size_t len)
{
    if (len == 0)
        return true;
    *key = key_new_secret(secret, len);
    return *key != NULL;
}

struct jwt *jwt_new(const struct jwt_options *options)
{
    struct jwt *jwt = calloc(1, sizeof *jwt);
    if (jwt == NULL)
        return NULL;
    bool whole = add_secret(&jwt->secrets[0], options->secret, options->secret_len) &&
                 add_secret(&jwt->secrets[1], options->previous, options->previous_len);
    if (whole && options->secret_len > 0)
        jwt->signer = hmac_new(options->secret, options->secret_len);
    jwt->cache = token_cache_new();
    jwt->issuer = strdup(options->issuer == NULL ? "" : options->issuer);
    jwt->leeway_s = options->leeway_s;
    if (!whole || (options->secret_len > 0 && jwt->signer == NULL) || jwt->cache == NULL ||
        jwt->issuer == NULL) {
        jwt_free(jwt);
        return NULL;
    }
    return jwt;
}

void jwt_free(struct jwt *jwt)
{
    if (jwt == NULL)
        return;
    for (size_t i = 0; i < SECRETS; i++)
        key_free(jwt->secrets[i]);
    hmac_free(jwt->signer);
    key_set_free(jwt->keys);
    token_cache_free(jwt->cache);
    free(jwt->issuer);
    free(jwt);
}

void jwt_use_keys(struct jwt *jwt, struct key_set *keys)
{
    key_set_free(jwt->keys);
    jwt->keys = keys;
    token_cache_clear(jwt->cache);
}

/* ---- verifying ---- */

static bool verified_by(const struct key *key, const struct token *token)
{
    return key_verifies(key, token->text, token->signed_len, token->signature,
                        token->signature_len);
}

/* Each algorithm has keys of its own: a public key never checks an HMAC. */
static int check_secrets(const struct jwt *jwt, const struct token *token, const char **ret_problem)
{
    *ret_problem = "tokens that are signed with HS256 are not taken here";
    for (size_t i = 0; i < SECRETS; i++) {
        if (jwt->secrets[i] == NULL)
            continue;
        if (verified_by(jwt->secrets[i], token))
            return 0;
        *ret_problem = "the token's signature is wrong";
    }
    return ERR_AUTH;
}

static int check_public_keys(const struct jwt *jwt, const struct token *token,
                             const char **ret_problem)
{
    const char *id = token->has_id ? token->id : NULL;
    const struct key *key;
    size_t from = 0;
    *ret_problem = "tokens that are signed by public keys are not taken here";
    if (jwt->keys == NULL)
        return ERR_AUTH;
    *ret_problem = token->has_id
                       ? "the token's kid and alg are those of no key that is known here"
                       : "the token has no kid, and not just one key is known for its alg";
    while ((key = key_set_next(jwt->keys, token->algorithm, id, &from)) != NULL) {
        if (verified_by(key, token))
            return 0;
        *ret_problem = "the token's signature is wrong";
    }
    return ERR_AUTH;
}

/* The part of the judgement that has texts for the caller. */
static int admit(const struct jwt *jwt, const struct claims *claims, const char *audience,
                 int64_t now_s, struct jwt_claims *ret_claims, const char **ret_problem)
{
    int code = claims_judge(claims, audience, now_s, jwt->leeway_s, ret_problem);
    if (code < 0)
        return code;
    memcpy(ret_claims->user, claims->user, strlen(claims->user) + 1);
    memcpy(ret_claims->gateway_customer, claims->customer, strlen(claims->customer) + 1);
    memcpy(ret_claims->human, claims->human, strlen(claims->human) + 1);
    memcpy(ret_claims->email, claims->email, strlen(claims->email) + 1);
    ret_claims->scopes = claims->scopes;
    ret_claims->expires_s = claims->expires_s;
    ret_claims->stay_s = claims->stay_s;
    return 0;
}

int jwt_verify(struct jwt *jwt, const char *text, size_t len, const char *audience, int64_t now_s,
               struct jwt_claims *ret_claims, const char **ret_problem)
{
    const struct claims *known = token_cache_find(jwt->cache, text, len);
    if (known != NULL)
        return admit(jwt, known, audience, now_s, ret_claims, ret_problem);
    struct token token;
    int code = token_read(text, len, &token, ret_problem);
    if (code == 0)
        code = token.algorithm == KEY_HS256 ? check_secrets(jwt, &token, ret_problem)
                                            : check_public_keys(jwt, &token, ret_problem);
    if (code < 0)
        return code;
    json_t *json = token_claims(&token);
    struct claims claims;
    *ret_problem = "the token's claims are no JSON object";
    code = json == NULL ? ERR_AUTH : claims_read(json, jwt->issuer, &claims, ret_problem);
    if (code == 0)
        code = admit(jwt, &claims, audience, now_s, ret_claims, ret_problem);
    if (code == 0)
        token_cache_keep(jwt->cache, text, len, &claims);
    json_decref(json);
    return code;
}

bool jwt_known(const struct jwt *jwt, const char *text, size_t len)
{
    return token_cache_find(jwt->cache, text, len) != NULL;
}

/* ---- signing ---- */

/* "header.payload.signature" of claims in JSON. NULL: no memory. */
static char *sign_text(struct jwt *jwt, const char *claims, size_t len)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    unsigned char mac[HMAC_BYTES];
    char *token = malloc(BASE64URL_SIZE(sizeof header) + BASE64URL_SIZE(SIGNED_MAX) +
                         BASE64URL_SIZE(HMAC_BYTES));
    if (token == NULL)
        return NULL;
    size_t at = base64url_encode(header, sizeof header - 1, token);
    token[at++] = '.';
    at += base64url_encode(claims, len, token + at);
    const struct hmac_part part = {token, at};
    if (hmac_of(jwt->signer, &part, 1, mac) < 0) {
        free(token);
        return NULL;
    }
    token[at++] = '.';
    (void)base64url_encode(mac, sizeof mac, token + at);
    return token;
}

static json_t *make_claims(const struct jwt *jwt, const char *user, const char *audience,
                           int64_t issued_s, int64_t expires_s, int64_t stay_s)
{
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I}", "sub", user, "aud", audience, "iat",
                               (json_int_t)issued_s, "exp", (json_int_t)expires_s);
    bool whole = claims != NULL;
    if (whole && stay_s > 0)
        whole = json_object_set_new(claims, "stay", json_integer(stay_s)) == 0;
    if (whole && jwt->issuer[0] != '\0')
        whole = json_object_set_new(claims, "iss", json_string(jwt->issuer)) == 0;
    if (whole)
        return claims;
    json_decref(claims);
    return NULL;
}

int jwt_sign(struct jwt *jwt, const char *user, const char *audience, int64_t issued_s,
             int64_t expires_s, int64_t stay_s, char **ret_token)
{
    char text[SIGNED_MAX + 1];
    if (jwt->signer == NULL)
        return ERR_INVALID;
    json_t *claims = make_claims(jwt, user, audience, issued_s, expires_s, stay_s);
    size_t len = claims == NULL ? 0 : json_dumpb(claims, text, SIGNED_MAX, JSON_COMPACT);
    json_decref(claims);
    if (len == 0 || len > SIGNED_MAX)
        return len > SIGNED_MAX ? ERR_INVALID : ERR_NOMEM;
    char *token = sign_text(jwt, text, len);
    if (token == NULL)
        return ERR_NOMEM;
    *ret_token = token;
    return 0;
}
