/* Whole decimal numbers in text, read strictly: no blanks, no plus, no fraction, no overflow. Pure.
 */
#ifndef COMMON_BASE_PARSE_H
#define COMMON_BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

/*
 * Reads all `len` bytes of `text` as a number: digits, after a minus where `low` is negative.
 * ERR_PARSE: they are no such number. ERR_FULL: it is not between `low` and `high`.
 */
MUST_CHECK int parse_intn(const char *text, size_t len, int64_t low, int64_t high,
                          int64_t *ret_number);
/* The same of a text that ends in NUL. NULL is ERR_PARSE. */
MUST_CHECK int parse_int(const char *text, int64_t low, int64_t high, int64_t *ret_number);

/* The number of the digits that `text` begins with; INT64_MAX if they are too many. Returns how
 * many digits there are; with none *ret_number is 0. */
size_t parse_digits(const char *text, int64_t *ret_number);

#endif
