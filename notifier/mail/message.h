/* A mail as SMTP carries it: head and body (RFC 5322, MIME), lines that end in CRLF. Pure. */
#ifndef NOTIFIER_MAIL_MESSAGE_H
#define NOTIFIER_MAIL_MESSAGE_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

/* Strings are not owned, and are UTF-8. */
struct message {
    const char *from; /* addresses of email_valid */
    const char *to;
    const char *from_name;
    const char *subject;
    const char *id;       /* of Message-ID, without angle brackets: ASCII without white space */
    const char *language; /* a language tag */
    int64_t date_ms;
    const char *text; /* lines end in LF or CRLF */
    const char *html; /* NULL: none */
};

/* Appends the mail. 0, ERR_FULL, or ERR_INVALID: an address, the id or the language cannot stand in
 * a head. Line feeds of other texts become spaces there. */
MUST_CHECK int message_build(const struct message *message, struct buf *out);

#endif
