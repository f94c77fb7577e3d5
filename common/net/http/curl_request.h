/* The texts of one request of curl.h, copied, for as long as its call runs. Pure. */
#ifndef COMMON_NET_HTTP_CURL_REQUEST_H
#define COMMON_NET_HTTP_CURL_REQUEST_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define CURL_HEADERS_MAX 16

enum curl_method { CURL_METHOD_GET, CURL_METHOD_POST, CURL_METHOD_PUT };

/* 0, or ERR_INVALID: it is none of these. */
MUST_CHECK int curl_method_of(const char *name, enum curl_method *ret_method);

struct curl_texts {
    struct buf all;                 /* header lines, each with its NUL, then the body */
    size_t lines[CURL_HEADERS_MAX]; /* where each begins */
    size_t line_count;
    size_t body; /* where it begins */
};

void curl_texts_init(struct curl_texts *texts);
void curl_texts_free(struct curl_texts *texts);
/* Empties `b`, and frees the memory that an idle call may not keep. */
void curl_texts_shrink(struct buf *b);
/* `headers`: lines, NULL at the end; NULL: none. ERR_FULL: too many or too long. */
MUST_CHECK int curl_texts_copy(struct curl_texts *texts, const char *const *headers,
                               const char *body, size_t body_len);
/* Both are valid until the next copy. */
char *curl_texts_line(const struct curl_texts *texts, size_t index);
const char *curl_texts_body(const struct curl_texts *texts);

#endif
