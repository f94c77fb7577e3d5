/* Values of request headers that several programs read alike. Pure. */
#ifndef COMMON_NET_HTTP_HTTP_VALUES_H
#define COMMON_NET_HTTP_HTTP_VALUES_H

#include <stddef.h>

#define HTTP_KEY_MAX 255 /* characters of an Idempotency-Key */
#define HTTP_KEY_HEADER "Idempotency-Key"

/* What the headers of a request say about its body; NULL: no such header. */
struct http_body_kind {
    const char *content_type; /* the first of `content_types` */
    size_t content_types;
    const char *content_encoding; /* the first of `content_encodings` */
    size_t content_encodings;
};

/* NULL if that is JSON, in UTF-8 where it names a charset, and not compressed. Else what to send in
 * its place, as a static text. */
const char *http_value_not_json(const struct http_body_kind *kind);

/*
 * The key of `count` Idempotency-Key headers, the first of which is `header` (NULL: none), in
 * `ret_key` of HTTP_KEY_MAX + 1 bytes: bare, or in quotes (RFC 9651). NULL, or what is wrong with
 * it, as a static text.
 */
const char *http_value_key(const char *header, size_t count, char *ret_key);

/* N of `Prefer: wait=N` (RFC 7240), at most `max_s`; 0 if it is not there. */
unsigned http_value_wait(const char *prefer, unsigned max_s);

#endif
