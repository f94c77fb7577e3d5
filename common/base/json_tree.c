#include "common/base/json_tree.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/utf8.h"

#define DEPTH_MAX 32
#define NAME_SIZE 64
#define DIGITS_MAX 18 /* so many fit into an int64_t */

/*
 * Takes what messages and answers are usually made of. At anything else (an escape in a string, a
 * fraction, a name twice, a fault) it stops, and jansson reads the whole text and decides: so there
 * is one judge of what is JSON.
 */

struct reader {
    const char *p;
    const char *end;
};

static json_t *read_value(struct reader *r, unsigned depth);

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* The bytes up to the closing quote; the opening one has been taken. */
static bool read_text(struct reader *r, const char **ret_text, size_t *ret_len)
{
    const char *from = r->p;
    while (r->p < r->end && *r->p != '"') {
        unsigned char c = (unsigned char)*r->p;
        size_t step = c < 0x80 ? 1 : utf8_len(r->p, (size_t)(r->end - r->p));
        if (c < 0x20 || c == '\\' || step == 0)
            return false;
        r->p += step;
    }
    *ret_text = from;
    *ret_len = (size_t)(r->p - from);
    return take(r, '"');
}

static json_t *read_string(struct reader *r)
{
    const char *text;
    size_t len;
    return read_text(r, &text, &len) ? json_stringn_nocheck(text, len) : NULL;
}

/* A whole number; of another one the rest stands in the way of what must follow. */
static json_t *read_integer(struct reader *r)
{
    bool negative = *r->p == '-';
    if (negative)
        r->p++;
    const char *from = r->p;
    int64_t value = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9' && r->p - from < DIGITS_MAX; r->p++)
        value = value * 10 + (*r->p - '0');
    if (r->p == from || (*from == '0' && r->p - from > 1))
        return NULL;
    return json_integer(negative ? -value : value);
}

static bool take_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
        return false;
    r->p += len;
    return true;
}

static bool read_member(struct reader *r, json_t *object, unsigned depth)
{
    const char *text;
    size_t len;
    char name[NAME_SIZE];
    if (!take(r, '"') || !read_text(r, &text, &len) || len >= sizeof name || !take(r, ':'))
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    size_t before = json_object_size(object);
    return json_object_set_new_nocheck(object, name, read_value(r, depth)) == 0 &&
           json_object_size(object) == before + 1; /* else the name was there before */
}

static bool read_item(struct reader *r, json_t *array, unsigned depth)
{
    return json_array_append_new(array, read_value(r, depth)) == 0;
}

/* The rest of an object or array, whose first byte has been taken. */
static json_t *read_nested(struct reader *r, json_t *nested, char close,
                           bool (*read_one)(struct reader *, json_t *, unsigned), unsigned depth)
{
    if (take(r, close))
        return nested;
    bool good;
    do
        good = read_one(r, nested, depth);
    while (good && take(r, ','));
    if (good && take(r, close))
        return nested;
    json_decref(nested);
    return NULL;
}

/* NULL: it is for jansson to read. */
static json_t *read_value(struct reader *r, unsigned depth)
{
    skip_space(r);
    if (r->p == r->end || depth == DEPTH_MAX)
        return NULL;
    switch (*r->p) {
    case '"':
        r->p++;
        return read_string(r);
    case '{':
        r->p++;
        return read_nested(r, json_object(), '}', read_member, depth + 1);
    case '[':
        r->p++;
        return read_nested(r, json_array(), ']', read_item, depth + 1);
    case 't':
        return take_word(r, "true") ? json_true() : NULL;
    case 'f':
        return take_word(r, "false") ? json_false() : NULL;
    case 'n':
        return take_word(r, "null") ? json_null() : NULL;
    default:
        return read_integer(r);
    }
}

json_t *json_tree_load(const char *text, size_t len, size_t flags)
{
    struct reader r = {.p = text, .end = text + len};
    json_t *root = read_value(&r, 0);
    skip_space(&r);
    if (root != NULL && r.p == r.end && (json_is_object(root) || json_is_array(root)))
        return root;
    json_decref(root);
    return json_loadb(text, len, flags, NULL);
}
