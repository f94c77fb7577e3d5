/*
 * The keys that sign the webhooks of an endpoint, as Standard Webhooks writes them: whsec_ and the
 * base64 of 24 to 64 bytes for HMAC-SHA256 (signature v1), whsk_ and the base64 of an Ed25519 key
 * for that (v1a): its seed of 32 bytes, or these and the public key. Several sign alike, while a
 * receiver moves from one to the next.
 */
#ifndef COMMON_SHOP_HOOK_KEYS_H
#define COMMON_SHOP_HOOK_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define HOOK_KEYS_MAX 4
#define HOOK_KEYS_BYTES_MAX 1024 /* of a file of keys */
#define HOOK_SECRET_SIZE 64      /* a new whsec_ with NUL */

struct hook_keys;

/* Reads one key a line; empty lines, and those that begin with #, are none. 0, ERR_NOMEM, or
 * ERR_PARSE with a static text in `ret_problem` that repeats nothing of them. */
MUST_CHECK int hook_keys_parse(const char *text, size_t len, struct hook_keys **ret_keys,
                               const char **ret_problem);
void hook_keys_free(struct hook_keys *keys); /* NULL is allowed */
/* Appends the signatures of a message, separated by spaces: the value of webhook-signature. 0,
 * ERR_NOMEM or ERR_FULL. */
MUST_CHECK int hook_keys_sign(const struct hook_keys *keys, const char *id, int64_t timestamp_s,
                              const char *body, size_t len, struct buf *out);
/* Appends a line for each: whpk_ and the base64 of the public key, or what it is. */
int hook_keys_show(const struct hook_keys *keys, struct buf *out);
/* A new random whsec_. 0, or ERR_NOMEM: no random numbers. */
MUST_CHECK int hook_secret_new(char ret_secret[HOOK_SECRET_SIZE]);

#endif
