/*
 * Reads the JSON object of a request's body strictly (RFC 8259, UTF-8 checked, nesting bounded)
 * into a flat list of its members. Pure, and without memory of its own: the API has no time to
 * allocate.
 */
#ifndef COMMON_BASE_JSON_READER_H
#define COMMON_BASE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define JSON_READER_MEMBERS_MAX 32
#define JSON_READER_DEPTH_MAX 4

enum json_reader_kind {
    JSON_READER_STRING,
    JSON_READER_NUMBER,
    JSON_READER_BOOLEAN,
    JSON_READER_NULL,
    JSON_READER_OBJECT,
    JSON_READER_ARRAY
};

struct json_reader_member {
    const char *name; /* decoded, NUL-terminated; may contain NUL: compare name_len */
    size_t name_len;
    enum json_reader_kind kind;
    const char
        *text; /* JSON_READER_STRING: decoded and NUL-terminated; JSON_READER_NUMBER: as written */
    size_t len;
    bool truth; /* JSON_READER_BOOLEAN */
    bool twice; /* an earlier member has the same name */
};

struct json_reader {
    struct json_reader_member members[JSON_READER_MEMBERS_MAX];
    size_t count;
};

/*
 * Reads `len` bytes of `text`. `scratch` (len + 1 bytes) takes the decoded strings; the members
 * point into it and into `text`. 0, or ERR_PARSE with a static text in `ret_problem` and the byte
 * where it is in `ret_at`.
 */
MUST_CHECK int json_reader_read(const char *text, size_t len, char *scratch,
                                struct json_reader *ret_flat, const char **ret_problem,
                                size_t *ret_at);

bool json_reader_named(const struct json_reader_member *member, const char *name);
/* A whole number between `low` and `high`, without fraction and exponent; else false. */
bool json_reader_whole(const struct json_reader_member *member, int64_t low, int64_t high,
                       int64_t *ret_number);

#endif
