/* A JSON Web Token as text (RFC 7519, the compact form of RFC 7515): its parts and its header,
 * before anything of it is trusted. */
#ifndef COMMON_IDENTITY_TOKEN_H
#define COMMON_IDENTITY_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/identity/key.h"

struct json_t;

#define TOKEN_MAX 4096

struct token {
    enum key_algorithm algorithm;
    bool has_id;
    char id[KEY_ID_MAX + 1]; /* `kid` */
    const char *text;        /* header.payload, which is signed; points into what was read */
    size_t signed_len;
    const char *payload;
    size_t payload_len;
    size_t signature_len;
    unsigned char signature[KEY_SIGNATURE_MAX];
};

/*
 * Reads a token of up to TOKEN_MAX bytes. `jwk`, `jku`, `x5u` and `x5c` of its header, which offer
 * a key, are never looked at; `crit` is refused, and so is a `typ` of another kind of token (RFC
 * 8725). 0, or ERR_AUTH with a static text in `ret_problem`.
 */
MUST_CHECK int token_read(const char *text, size_t len, struct token *ret_token,
                          const char **ret_problem);

/* The claims as JSON, which the caller releases (json_decref). NULL: they are no JSON object. */
struct json_t *token_claims(const struct token *token);

#endif
