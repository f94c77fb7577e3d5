/* Bytes as text: hexadecimal digits, percent-encoding (RFC 3986, section 2.1), base64 (RFC 4648).
 */
#ifndef COMMON_BASE_ENCODE_H
#define COMMON_BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define HEX_SIZE(bytes) (2 * (bytes) + 1)                      /* with NUL */
#define BASE64_SIZE(bytes) (((size_t)(bytes) + 2) / 3 * 4 + 1) /* with NUL */

/* 0 to 15 of a digit of either case; -1: it is none. */
int hex_digit(char c);
/* The byte that two digits of either case are; -1: they are none. */
int hex_byte(const char *digits);
/* The two lower-case digits of a byte; no NUL. */
void hex_put(unsigned char byte, char *ret_digits);
/* All of `bytes` in lower case; HEX_SIZE(count) bytes are written. */
void hex_encode(const void *bytes, size_t count, char *ret_hex);
/* Whether all `len` bytes are digits as hex_encode writes them. */
bool hex_valid(const char *text, size_t len);

/* Decodes `len` bytes into `ret_text` of `size` bytes, with NUL at the end; both may be the same
 * memory. 0, ERR_PARSE (a broken escape, or a NUL) or ERR_FULL; then do not read ret_text. */
MUST_CHECK int percent_decode(const char *from, size_t len, char *ret_text, size_t size);
/* Appends `text`, all but RFC 3986's unreserved characters encoded. Returns what the appends of buf
 * return. */
int percent_encode(struct buf *out, const char *text);

/* All of `bytes`, padded; BASE64_SIZE(count) bytes are written. */
void base64_encode(const void *bytes, size_t count, char *ret_text);
/* Whether `text` has the form of `bytes` bytes in base64 (bits that belong to no byte may be set).
 */
bool base64_valid(const char *text, size_t bytes);

/* Decodes `len` bytes of it, strictly: padded, no other characters, no bits that belong to no byte.
 * 0, ERR_PARSE, or ERR_FULL: more than `size` bytes. */
MUST_CHECK int base64_decode(const char *text, size_t len, void *ret_bytes, size_t size,
                             size_t *ret_count);

#define BASE64URL_SIZE(bytes) (((size_t)(bytes)*4 + 2) / 3 + 1) /* with NUL */

/* The URL's alphabet, not padded. Returns the length; BASE64URL_SIZE(count) bytes are written. */
size_t base64url_encode(const void *bytes, size_t count, char *ret_text);
/* Decodes `len` bytes of it, strictly: no padding, no other characters, no bits that belong to no
 * byte. 0, ERR_PARSE, or ERR_FULL: more than `size` bytes. */
MUST_CHECK int base64url_decode(const char *text, size_t len, void *ret_bytes, size_t size,
                                size_t *ret_count);

#endif
