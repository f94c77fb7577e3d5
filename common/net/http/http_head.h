/* The first check of a request's head, before anything else reads it. Pure. */
#ifndef COMMON_NET_HTTP_HTTP_HEAD_H
#define COMMON_NET_HTTP_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_head {
    unsigned hosts;
    unsigned lengths;
    unsigned encodings;
    bool chunked;
    bool has_nul;
    bool wrong_name; /* no token: white space before the colon (RFC 9112, 5.1) */
    uint64_t length; /* Content-Length; libmicrohttpd has refused what is no number */
};

/* Checks one header; both texts end in NUL, also if they contain others. */
void http_head_add(struct http_head *head, const char *name, size_t name_len, const char *value,
                   size_t value_len);
/* Why two readers might see two different requests in this one; static text. NULL: they cannot. */
const char *http_head_ambiguity(const struct http_head *head, const char *version);

/* The path of a request's target, which may be a whole URL (RFC 9112, 3.2.2). */
const char *http_target_path(const char *target);

/* Decodes %XX in place and returns the new length. Leaves %00 and broken escapes as they are, so
 * that no text ends early. */
size_t http_unescape(char *text);

#endif
