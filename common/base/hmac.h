/* HMAC-SHA-256 (RFC 2104). */
#ifndef COMMON_BASE_HMAC_H
#define COMMON_BASE_HMAC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

#define HMAC_BYTES 32
#define HMAC_HEX_SIZE 65 /* HEX_SIZE(HMAC_BYTES) */

struct hmac; /* holds a key, ready for many messages */

/* NULL: no memory. The key is copied. */
struct hmac *hmac_new(const void *key, size_t key_len);
void hmac_free(struct hmac *hmac); /* NULL is allowed */

/* A stretch of a message. */
struct hmac_part {
    const void *data;
    size_t len;
};

/* The code of the parts, one after the other. 0 or ERR_NOMEM. */
MUST_CHECK int hmac_of(struct hmac *hmac, const struct hmac_part *parts, size_t count,
                       unsigned char ret_mac[HMAC_BYTES]);
/* The same, in lower-case hex, with a key for one use. */
MUST_CHECK int hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                               char ret_hex[HMAC_HEX_SIZE]);
/* Compares `len` bytes in a time that does not depend on them. */
bool hmac_equal(const void *a, const void *b, size_t len);

#endif
