#include <string.h>

#include "common/net/pg/pg.h"

/* An element follows another unless the literal was just begun. */
static void separate(struct buf *out)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        (void)buf_char(out, ',');
}

void pg_array_begin(struct buf *out)
{
    (void)buf_char(out, '{'); /* failures stick to the buffer, here and below */
}

void pg_array_text(struct buf *out, const char *value)
{
    if (value == NULL) {
        pg_array_null(out);
        return;
    }
    separate(out);
    (void)buf_char(out, '"');
    while (*value != '\0') {
        size_t plain = strcspn(value, "\"\\");
        (void)buf_append(out, value, plain);
        value += plain;
        if (*value != '\0') {
            (void)buf_char(out, '\\');
            (void)buf_char(out, *value++);
        }
    }
    (void)buf_char(out, '"');
}

void pg_array_int(struct buf *out, int64_t value)
{
    separate(out);
    (void)buf_int(out, value);
}

void pg_array_null(struct buf *out)
{
    separate(out);
    (void)buf_str(out, "NULL");
}

void pg_array_end(struct buf *out)
{
    (void)buf_char(out, '}');
}
