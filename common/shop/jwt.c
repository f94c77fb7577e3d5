#include "common/shop/jwt.h"

#include <jansson.h>
#include <jose/jose.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"

_Static_assert(JWT_CUSTOMER_SIZE == JOB_CUSTOMER_MAX + 1, "an order carries the claim");

/* Verified tokens: SETS sets of WAYS each, newest first. It keeps only tokens of up to
 * CACHE_TOKEN_MAX bytes, so it stays below 11 MiB, and below 3 MiB with tokens of the usual 250
 * bytes. */
#define CACHE_SETS 2048
#define CACHE_WAYS 4
#define CACHE_TOKEN_MAX 1024
#define CLOCKS_DIFFER_S 60 /* between our clock and the issuer's: for nbf and iat, not for exp */
#define SIGNED_MAX                                                                                 \
    2048 /* bytes of the claims that we sign: each byte of the user's name may need six */

/* A token whose signature is right, as it is cached. */
struct verified {
    uint64_t hash;
    size_t token_len;
    char *token; /* owned; the user's name follows it, then the customer; NULL: a free place */
    const char *user;
    const char *customer; /* "": none */
    int64_t expires_s;
    int64_t not_before_s;
    int64_t stay_s;
    bool for_api;
    bool for_events;
};

struct jwt {
    json_t *key; /* as a JSON Web Key */
    struct verified *cache;
};

struct jwt *jwt_new(const char *secret, size_t len)
{
    struct jwt *jwt = calloc(1, sizeof *jwt);
    if (jwt == NULL)
        return NULL;
    jwt->cache = calloc((size_t)CACHE_SETS * CACHE_WAYS, sizeof *jwt->cache);
    jwt->key =
        json_pack("{s:s, s:s, s:o}", "kty", "oct", "alg", "HS256", "k", jose_b64_enc(secret, len));
    if (jwt->cache == NULL || jwt->key == NULL) {
        jwt_free(jwt);
        return NULL;
    }
    return jwt;
}

void jwt_free(struct jwt *jwt)
{
    if (jwt == NULL)
        return;
    for (size_t i = 0; jwt->cache != NULL && i < (size_t)CACHE_SETS * CACHE_WAYS; i++)
        free(jwt->cache[i].token);
    free(jwt->cache);
    json_decref(jwt->key);
    free(jwt);
}

/* ---- reading a token ---- */

/* Decodes one part of a token as a JSON object; NULL if it is none. */
static json_t *load_part(const char *text, size_t len)
{
    unsigned char plain[JWT_TOKEN_MAX];
    size_t size = jose_b64_dec_buf(text, len, plain, sizeof plain);
    if (size == SIZE_MAX)
        return NULL;
    json_t *value = json_loadb((const char *)plain, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

struct parts {
    const char *header;
    size_t header_len;
    const char *payload;
    size_t payload_len;
    const char *signature;
    size_t signature_len;
};

static bool split(const char *token, size_t len, struct parts *ret_parts)
{
    const char *first = memchr(token, '.', len);
    const char *end = token + len;
    const char *second = first == NULL ? NULL : memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
        return false;
    *ret_parts = (struct parts){.header = token,
                                .header_len = (size_t)(first - token),
                                .payload = first + 1,
                                .payload_len = (size_t)(second - first - 1),
                                .signature = second + 1,
                                .signature_len = (size_t)(end - second - 1)};
    return true;
}

/* The algorithm is pinned: the token's own claims choose nothing. */
static int check_header(const struct parts *parts, const char **ret_problem)
{
    json_t *header = load_part(parts->header, parts->header_len);
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    int code = ERR_AUTH;
    if (header == NULL || algorithm == NULL)
        *ret_problem = "the token is malformed";
    else if (strcmp(algorithm, "HS256") != 0)
        *ret_problem = "the token is not signed with HS256";
    else if (json_object_get(header, "crit") != NULL)
        *ret_problem = "the token needs an extension that is not known here";
    else
        code = 0;
    json_decref(header);
    return code;
}

static int check_signature(const struct jwt *jwt, const struct parts *parts,
                           const char **ret_problem)
{
    json_t *jws = json_pack("{s:s%, s:s%, s:s%}", "protected", parts->header, parts->header_len,
                            "payload", parts->payload, parts->payload_len, "signature",
                            parts->signature, parts->signature_len);
    bool good = jws != NULL && jose_jws_ver(NULL, jws, NULL, jwt->key, false);
    json_decref(jws);
    *ret_problem = "the token's signature is wrong";
    return good ? 0 : ERR_AUTH;
}

static bool is_text(const json_t *value, const char *wanted)
{
    return json_is_string(value) && strcmp(json_string_value(value), wanted) == 0;
}

/* `aud` is one text or a list of them. */
static bool in_audience(const json_t *audience, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(audience); i++)
        if (is_text(json_array_get(audience, i), wanted))
            return true;
    return is_text(audience, wanted);
}

/* Seconds of a NumericDate, which may have a fraction; `absent` if there is none. */
static bool read_date(const json_t *claims, const char *name, int64_t absent, int64_t *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    double number = json_number_value(value);
    *ret_s = absent;
    if (!json_is_number(value))
        return value == NULL;
    if (number < 0 || number >= 1e12)
        return false;
    *ret_s = (int64_t)floor(number); /* a double holds each of these integers */
    return true;
}

static bool user_valid(const char *user)
{
    size_t len = user == NULL ? 0 : strlen(user);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)user[i] < 0x20 || user[i] == 0x7f)
            return false;
    return len >= 1 && len < JWT_USER_SIZE;
}

/* It may be absent. */
static bool read_customer(const json_t *claim, const char **ret_customer)
{
    const char *text = json_string_value(claim);
    if (claim == NULL)
        return true;
    if (text == NULL || strlen(text) != json_string_length(claim) ||
        !job_customer_valid(text, strlen(text)))
        return false;
    *ret_customer = text;
    return true;
}

/* Fills all but token and hash; `user` and `customer` point into `claims`. */
static int read_claims(const json_t *claims, struct verified *v, const char **ret_problem)
{
    int64_t issued_s;
    if (!read_date(claims, "exp", -1, &v->expires_s) ||
        !read_date(claims, "nbf", 0, &v->not_before_s) || !read_date(claims, "iat", 0, &issued_s) ||
        !read_date(claims, "stay", 0, &v->stay_s)) {
        *ret_problem = "a date in the token is malformed";
        return ERR_AUTH;
    }
    if (v->expires_s < 0) {
        *ret_problem = "the token has no exp";
        return ERR_AUTH;
    }
    if (issued_s > v->not_before_s)
        v->not_before_s = issued_s;
    v->user = json_string_value(json_object_get(claims, "sub"));
    if (!user_valid(v->user)) {
        *ret_problem = "the token's sub is missing, too long, or has control characters";
        return ERR_AUTH;
    }
    v->customer = "";
    if (!read_customer(json_object_get(claims, "gateway_customer"), &v->customer)) {
        *ret_problem = "the token's gateway_customer is no customer's id";
        return ERR_AUTH;
    }
    const json_t *audience = json_object_get(claims, "aud");
    v->for_api = in_audience(audience, JWT_AUD_API);
    v->for_events = in_audience(audience, JWT_AUD_EVENTS);
    return 0;
}

/* ---- the cache ---- */

static struct verified *cache_set(const struct jwt *jwt, uint64_t hash)
{
    return jwt->cache + (hash % CACHE_SETS) * CACHE_WAYS;
}

static const struct verified *cache_find(const struct jwt *jwt, uint64_t hash, const char *token,
                                         size_t len)
{
    const struct verified *set = cache_set(jwt, hash);
    for (int i = 0; i < CACHE_WAYS; i++)
        if (set[i].hash == hash && set[i].token != NULL && set[i].token_len == len &&
            hmac_equal(set[i].token, token, len))
            return &set[i];
    return NULL;
}

/* Without memory it does not keep the token. */
static void cache_keep(struct jwt *jwt, const struct verified *v, const char *token, size_t len)
{
    size_t user_len = strlen(v->user);
    size_t customer_len = strlen(v->customer);
    char *copy = len > CACHE_TOKEN_MAX ? NULL : malloc(len + user_len + customer_len + 2);
    if (copy == NULL)
        return;
    memcpy(copy, token, len);
    memcpy(copy + len, v->user, user_len + 1);
    memcpy(copy + len + user_len + 1, v->customer, customer_len + 1);
    struct verified *set = cache_set(jwt, v->hash);
    free(set[CACHE_WAYS - 1].token);
    memmove(set + 1, set, (CACHE_WAYS - 1) * sizeof *set);
    set[0] = *v;
    set[0].token = copy;
    set[0].token_len = len;
    set[0].user = copy + len;
    set[0].customer = copy + len + user_len + 1;
}

/* ---- */

/* The checks that depend on the service and the time. */
static int judge(const struct verified *v, const char *audience, int64_t now_s,
                 struct jwt_claims *ret_claims, const char **ret_problem)
{
    bool for_us = strcmp(audience, JWT_AUD_EVENTS) == 0 ? v->for_events : v->for_api;
    if (!for_us) {
        *ret_problem = "the token's aud is not this service";
        return ERR_AUTH;
    }
    if (now_s >= v->expires_s) {
        *ret_problem = "the token has expired";
        return ERR_EXPIRED;
    }
    if (v->not_before_s > now_s + CLOCKS_DIFFER_S) {
        *ret_problem = "the token is not valid yet";
        return ERR_AUTH;
    }
    memcpy(ret_claims->user, v->user, strlen(v->user) + 1);
    memcpy(ret_claims->gateway_customer, v->customer, strlen(v->customer) + 1);
    ret_claims->expires_s = v->expires_s;
    ret_claims->stay_s = v->stay_s;
    return 0;
}

int jwt_verify(struct jwt *jwt, const char *token, size_t len, const char *audience, int64_t now_s,
               struct jwt_claims *ret_claims, const char **ret_problem)
{
    uint64_t hash = strmap_hash(token, len);
    const struct verified *known = cache_find(jwt, hash, token, len);
    if (known != NULL)
        return judge(known, audience, now_s, ret_claims, ret_problem);
    struct parts parts;
    *ret_problem = "the token is malformed";
    if (len > JWT_TOKEN_MAX || !split(token, len, &parts))
        return ERR_AUTH;
    int code = check_header(&parts, ret_problem);
    if (code == 0)
        code = check_signature(jwt, &parts, ret_problem);
    if (code < 0)
        return code;
    json_t *claims = load_part(parts.payload, parts.payload_len);
    struct verified v = {.hash = hash};
    *ret_problem = "the token's claims are no JSON object";
    code = claims == NULL ? ERR_AUTH : read_claims(claims, &v, ret_problem);
    if (code == 0)
        code = judge(&v, audience, now_s, ret_claims, ret_problem);
    if (code == 0)
        cache_keep(jwt, &v, token, len);
    json_decref(claims);
    return code;
}

/* "header.payload.signature" of a signed jws. */
static char *join(json_t *jws)
{
    const char *header, *payload, *signature;
    char *token;
    if (json_unpack(jws, "{s:s, s:s, s:s}", "protected", &header, "payload", &payload, "signature",
                    &signature) < 0 ||
        asprintf(&token, "%s.%s.%s", header, payload, signature) < 0)
        return NULL;
    return token;
}

int jwt_sign(struct jwt *jwt, const char *user, const char *audience, int64_t issued_s,
             int64_t expires_s, int64_t stay_s, char **ret_token)
{
    char text[SIGNED_MAX + 1];
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I}", "sub", user, "aud", audience, "iat",
                               (json_int_t)issued_s, "exp", (json_int_t)expires_s);
    if (claims != NULL && stay_s > 0 &&
        json_object_set_new(claims, "stay", json_integer(stay_s)) != 0)
        stay_s = -1;
    size_t len = claims == NULL ? 0 : json_dumpb(claims, text, SIGNED_MAX, JSON_COMPACT);
    json_decref(claims);
    if (len == 0 || len > SIGNED_MAX || stay_s < 0)
        return len > SIGNED_MAX ? ERR_INVALID : ERR_NOMEM;
    json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(text, len));
    json_t *head = json_pack("{s:{s:s, s:s}}", "protected", "alg", "HS256", "typ", "JWT");
    char *token = NULL;
    if (jws != NULL && head != NULL && jose_jws_sig(NULL, jws, head, jwt->key))
        token = join(jws);
    json_decref(jws);
    json_decref(head);
    if (token == NULL)
        return ERR_NOMEM;
    *ret_token = token;
    return 0;
}
