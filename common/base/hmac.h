/* HMAC-SHA-256 (RFC 2104), in lower-case hex. */
#ifndef COMMON_BASE_HMAC_H
#define COMMON_BASE_HMAC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

#define HMAC_HEX_SIZE 65 /* 64 digits and NUL */

/* 0 or ERR_NOMEM. */
MUST_CHECK int hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
                               char ret_hex[HMAC_HEX_SIZE]);
/* Compares `len` bytes; how long it takes says nothing about them. */
bool hmac_equal(const char *a, const char *b, size_t len);

#endif
