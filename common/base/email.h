/* The one check of an e-mail address. Pure. */
#ifndef COMMON_BASE_EMAIL_H
#define COMMON_BASE_EMAIL_H

#include <stdbool.h>
#include <stddef.h>

#define EMAIL_MAX 254      /* bytes (RFC 5321, 4.5.3.1.3, without its angle brackets) */
#define EMAIL_LOCAL_MAX 64 /* bytes before the @ (RFC 5321, 4.5.3.1.1) */

/*
 * Whether `text` (`len` excludes any NUL) is an address that may stand in a mail's head and in the
 * SMTP dialogue as it is: UTF-8 of 3 to 254 bytes, one @ with 1 to 64 bytes before it. Before the @
 * is no character that ends or quotes an address there: no control, white-space or invisible
 * character, none of "(),:;<>[\]. Behind it is a host name: letters, digits, hyphens, characters
 * beyond ASCII, in parts divided by single dots.
 */
bool email_valid(const char *text, size_t len);

#endif
