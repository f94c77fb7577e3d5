/* A growable byte buffer with a cap from birth. Always NUL-terminated after `len`. */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct buf {
    char *data; /* NULL until the first append */
    size_t len;
    size_t cap;
    size_t max;  /* most bytes it may hold */
    bool failed; /* an append did not fit or memory ran out; sticky until buf_reset */
};

/* An empty buffer that may grow to `max` bytes. Owns nothing yet. */
void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);
/* Empties it, keeps the memory, clears `failed`. */
void buf_reset(struct buf *b);

/*
 * Appends return 0, ERR_FULL past the cap or ERR_NOMEM; then the buffer is as before and `failed`
 * is set, so a caller may append many times and check `failed` once.
 */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *text);
int buf_char(struct buf *b, char c);
int buf_int(struct buf *b, int64_t number);
int buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends `text` as a JSON string with its quotes; `text` is UTF-8. */
int buf_json_str(struct buf *b, const char *text);
int buf_json_strn(struct buf *b, const char *text, size_t len);
/* Appends `,"name":"text"` to an object that has a member already; nothing if `text` is NULL. The
 * name is written as it is. */
int buf_json_member(struct buf *b, const char *name, const char *text);

/* Removes the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);
/* The text, "" when empty; valid until the next call on `b`. */
const char *buf_text(const struct buf *b);

#endif
