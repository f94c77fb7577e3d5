/* UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing above U+10FFFF; and the surrogates
 * of UTF-16, in which JSON escapes characters (RFC 8259, section 7). Pure. */
#ifndef COMMON_BASE_UTF8_H
#define COMMON_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_MAX 4 /* bytes of the longest character */

/* Bytes of the character at the beginning of `text`, which has `len` bytes; 0: there is none. */
size_t utf8_len(const char *text, size_t len);
bool utf8_valid(const char *text, size_t len);
/* Writes a character (no surrogate, at most U+10FFFF) and returns its bytes. */
size_t utf8_put(uint32_t character, char ret_text[UTF8_MAX]);
/* Whether a code unit of UTF-16 is the first half of a character, or the second. */
bool utf16_is_high(uint32_t unit);
bool utf16_is_low(uint32_t unit);
/* Characters of valid text. */
size_t utf8_count(const char *text);
/* Bytes of the first `count` characters of valid text, or of all if it has fewer. */
size_t utf8_skip(const char *text, size_t count);
/* The largest number of bytes up to `len` that cuts valid text between two characters. */
size_t utf8_cut(const char *text, size_t len);

#endif
