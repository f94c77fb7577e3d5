#include "common/shop/job_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/encode.h"
#include "common/base/utf8.h"

#define ESCAPE_LEN 6 /* \uXXXX */

struct cursor {
    const char *p;
    const char *end;
};

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* The code unit of \uXXXX at `text`; -1: no such escape. */
static int32_t code_unit(const char *text, size_t len)
{
    if (len < ESCAPE_LEN || text[0] != '\\' || text[1] != 'u')
        return -1;
    int high = hex_byte(text + 2);
    int low = hex_byte(text + 4);
    return high < 0 || low < 0 ? -1 : high << 8 | low;
}

/* The bytes of the escape at the cursor that stand for one character; 0: it stands for none. */
static size_t escape_len(const struct cursor *c)
{
    static const char simple[] = "\"\\/bfnrt";
    int32_t unit = code_unit(c->p, left(c));
    if (unit >= 0 && utf16_is_high((uint32_t)unit)) {
        int32_t next = code_unit(c->p + ESCAPE_LEN, left(c) - ESCAPE_LEN);
        return next >= 0 && utf16_is_low((uint32_t)next) ? (size_t)2 * ESCAPE_LEN : 0;
    }
    if (unit >= 0)
        return utf16_is_low((uint32_t)unit) ? 0 : ESCAPE_LEN;
    return left(c) >= 2 && c->p[1] != '\0' && strchr(simple, c->p[1]) != NULL ? 2 : 0;
}

static void copy_bytes(struct cursor *c, struct buf *out, size_t len)
{
    (void)buf_append(out, c->p, len);
    c->p += len;
}

/* What stands for no character becomes '?': a whole surrogate escape, else one byte. */
static void replace(struct cursor *c, struct buf *out)
{
    size_t len = code_unit(c->p, left(c)) >= 0 ? ESCAPE_LEN : 1;
    (void)buf_char(out, '?');
    c->p += len;
}

/* Copies a string, whose opening quote is at the cursor. */
static void copy_string(struct cursor *c, struct buf *out)
{
    copy_bytes(c, out, 1);
    while (c->p < c->end && *c->p != '"') {
        size_t len;
        if (*c->p == '\\')
            len = escape_len(c);
        else if ((unsigned char)*c->p < 0x20)
            len = 0;
        else
            len = utf8_len(c->p, left(c));
        if (len > 0)
            copy_bytes(c, out, len);
        else
            replace(c, out);
    }
    if (c->p < c->end)
        copy_bytes(c, out, 1);
}

static void skip_number(struct cursor *c, struct buf *out)
{
    while (c->p < c->end && *c->p != '\0' && strchr("+-.0123456789eE", *c->p) != NULL)
        c->p++;
    (void)buf_str(out, "-1"); /* which no member accepts */
}

static json_t *load_mended(const char *text, size_t len)
{
    struct cursor c = {.p = text, .end = text + len};
    struct buf copy;
    buf_init(&copy, 2 * len + 2);
    while (c.p < c.end) {
        if (*c.p == '"')
            copy_string(&c, &copy);
        else if (*c.p == '-' || (*c.p >= '0' && *c.p <= '9'))
            skip_number(&c, &copy);
        else
            copy_bytes(&c, &copy, 1);
    }
    json_t *value = copy.failed ? NULL : json_loadb(copy.data, copy.len, JSON_ALLOW_NUL, NULL);
    buf_free(&copy);
    return value;
}

json_t *job_text_load(const char *text, size_t len, const char **ret_flaw)
{
    *ret_flaw = NULL;
    json_t *value = json_loadb(text, len, JOB_TEXT_STRICT, NULL);
    if (value != NULL)
        return value;
    *ret_flaw = "a member is there twice";
    value = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    if (value != NULL)
        return value;
    *ret_flaw = "a number or a text is malformed";
    return load_mended(text, len);
}
