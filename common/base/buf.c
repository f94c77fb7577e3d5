#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

static int reserve(struct buf *b, size_t extra)
{
    if (extra > b->max - b->len) {
        b->failed = true;
        return ERR_FULL;
    }
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap == 0 ? BUF_FIRST : b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap > b->max + 1)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return ERR_NOMEM;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    int code = reserve(b, len);
    if (code < 0)
        return code;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_str(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

int buf_int(struct buf *b, int64_t number)
{
    char text[24];
    char *end = text + sizeof text;
    char *p = end;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        *--p = '-';
    return buf_append(b, p, (size_t)(end - p));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->len; /* most texts fit, and are written once */
    int len = vsnprintf(b->data == NULL ? NULL : b->data + b->len, room, format, args);
    va_end(args);
    int code = len < 0 ? ERR_INVALID : reserve(b, (size_t)len);
    if (code == 0 && (size_t)len >= room)
        (void)vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
    if (code == 0)
        b->len += (size_t)len;
    else if (b->data != NULL)
        b->data[b->len] = '\0';
    va_end(again);
    return code;
}

/* Appends the escape for `c`, which JSON does not allow as itself inside a string. */
static int json_escape(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        return buf_str(b, "\\\"");
    case '\\':
        return buf_str(b, "\\\\");
    case '\n':
        return buf_str(b, "\\n");
    case '\r':
        return buf_str(b, "\\r");
    case '\t':
        return buf_str(b, "\\t");
    default:
        return buf_printf(b, "\\u%04x", c);
    }
}

int buf_json_strn(struct buf *b, const char *text, size_t len)
{
    size_t before = b->len;
    int code = buf_char(b, '"');
    size_t from = 0;
    for (size_t i = 0; i < len && code == 0; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        code = buf_append(b, text + from, i - from);
        if (code == 0)
            code = json_escape(b, c);
        from = i + 1;
    }
    if (code == 0)
        code = buf_append(b, text + from, len - from);
    if (code == 0)
        code = buf_char(b, '"');
    if (code < 0 && b->data != NULL) {
        b->len = before;
        b->data[before] = '\0';
    }
    return code;
}

int buf_json_str(struct buf *b, const char *text)
{
    return buf_json_strn(b, text, strlen(text));
}

int buf_json_member(struct buf *b, const char *name, const char *text)
{
    if (text == NULL)
        return 0;
    size_t before = b->len;
    int code = buf_append(b, ",\"", 2);
    if (code == 0)
        code = buf_str(b, name);
    if (code == 0)
        code = buf_append(b, "\":", 2);
    if (code == 0)
        code = buf_json_str(b, text);
    if (code < 0 && b->data != NULL) {
        b->len = before;
        b->data[before] = '\0';
    }
    return code;
}

void buf_consume(struct buf *b, size_t len)
{
    if (len == 0 || b->data == NULL)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
    b->data[b->len] = '\0';
}

const char *buf_text(const struct buf *b)
{
    return b->data == NULL ? "" : b->data;
}
