/*
 * One key that signs tokens, with the one algorithm that it is for: a shared secret (HS256), or a
 * public key of a JSON Web Key (RFC 7517): RS256, ES256 (RFC 7518), EdDSA with Ed25519 (RFC 8037).
 * libjose reads the keys of RSA and EC, OpenSSL that of Ed25519; OpenSSL checks all signatures.
 */
#ifndef COMMON_IDENTITY_KEY_H
#define COMMON_IDENTITY_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

struct json_t;
struct key;

#define KEY_ID_MAX 256 /* bytes of a `kid` */
#define KEY_RSA_BITS_MIN 2048
#define KEY_RSA_BITS_MAX 8192
#define KEY_SIGNATURE_MAX (KEY_RSA_BITS_MAX / 8)

enum key_algorithm { KEY_HS256, KEY_RS256, KEY_ES256, KEY_EDDSA };

/* What an `alg` names: "Ed25519" (RFC 9864) is EdDSA. ERR_NOT_FOUND: none of them. */
MUST_CHECK int key_algorithm_named(const char *name, enum key_algorithm *ret_algorithm);

/* A key of HS256; the secret is copied. NULL: no memory. */
struct key *key_new_secret(const void *secret, size_t len);
/*
 * A public key of HS256's siblings. 0, ERR_NOMEM, or ERR_INVALID with a static text in
 * `ret_problem`: a symmetric or private key, one that is not for signatures (`use`, `key_ops`), of
 * another type, algorithm or curve, of a size that is not taken, or no point of its curve.
 */
MUST_CHECK int key_new_jwk(const struct json_t *jwk, struct key **ret_key,
                           const char **ret_problem);
void key_free(struct key *key); /* NULL is allowed */

enum key_algorithm key_algorithm(const struct key *key);
const char *key_id(const struct key *key); /* its `kid`; "": none */

/* Whether `signature` is this key's of the `len` bytes of `text`. */
bool key_verifies(const struct key *key, const char *text, size_t len,
                  const unsigned char *signature, size_t signature_len);

#endif
