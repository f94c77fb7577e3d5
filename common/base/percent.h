/* Hexadecimal digits and percent-encoding (RFC 3986, section 2.1), for addresses, forms and ids. */
#ifndef COMMON_BASE_PERCENT_H
#define COMMON_BASE_PERCENT_H

#include <stddef.h>

#include "common/base/attrs.h"

/* 0 to 15 of a digit of either case; -1: it is none. */
int hex_digit(char c);

/* Decodes `len` bytes into `ret_text` of `size` bytes, ended by NUL; they may be the same memory.
 * 0, ERR_PARSE (a broken escape, or a NUL) or ERR_FULL; then ret_text is not to be read. */
MUST_CHECK int percent_decode(const char *from, size_t len, char *ret_text, size_t size);

#endif
