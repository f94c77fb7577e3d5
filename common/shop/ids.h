/*
 * Order ids: deterministic and self-authenticating UUIDv8 (RFC 9562). Of the 122 free bits, in
 * order, the first 74 are SHA-256("checkout-order\0", user, '\0', Idempotency-Key), the last 48 are
 * HMAC-SHA-256(order secret, "checkout-id\0", those 74 bits as 10 zero-padded bytes, user). So the
 * same user and key give the same id at any producer, and an id shows whether it was made for a
 * user.
 */
#ifndef COMMON_SHOP_IDS_H
#define COMMON_SHOP_IDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

#define IDS_ORDER_SIZE 37       /* 36 characters and NUL */
#define IDS_FINGERPRINT_SIZE 33 /* 32 hex digits and NUL */

struct ids; /* holds the secret, with its HMAC state ready */

/* Copies the secret. NULL: no memory. */
struct ids *ids_new(const char *secret, size_t len);
void ids_free(struct ids *ids);

/* The id for `user` and `key` (any bytes without NUL). ERR_NOMEM at worst. */
MUST_CHECK int ids_order(struct ids *ids, const char *user, const char *key,
                         char ret_id[IDS_ORDER_SIZE]);
/* Whether `id` (lower-case, 36 characters, exact form) was made for `user` under this secret. */
bool ids_verify(struct ids *ids, const char *user, const char *id);
/* Whether it has the form of an order id: UUID version 8, lower-case. */
bool ids_well_formed(const char *id);
/* First 16 bytes of SHA-256 of `data` in hex. */
MUST_CHECK int ids_fingerprint(const void *data, size_t len, char ret_hex[IDS_FINGERPRINT_SIZE]);
/* Fingerprint of the secret itself, which the database keeps so that a changed secret is noticed.
 */
MUST_CHECK int ids_secret_fingerprint(struct ids *ids, char ret_hex[IDS_FINGERPRINT_SIZE]);

#endif
