#include "common/shop/cursor.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "common/base/err.h"

#define BASE 36

/* A number of letters and digits at *at, which moves past it; no text is 0. */
static int read_number(const char **at, int base, int64_t *ret_number)
{
    char *end;
    if (isalnum((unsigned char)**at) == 0) {
        *ret_number = 0;
        return 0;
    }
    errno = 0;
    long long number = strtoll(*at, &end, base);
    if (errno != 0 || end == *at)
        return ERR_PARSE;
    *at = end;
    *ret_number = number;
    return 0;
}

int cursor_parse(const char *text, struct cursor *ret_cursor)
{
    struct cursor cursor = {0};
    int64_t shards;
    if (read_number(&text, 10, &shards) < 0 || shards < 1 || shards > CURSOR_SHARDS_MAX)
        return ERR_PARSE;
    cursor.shards = (uint32_t)shards;
    for (uint32_t i = 0; i < cursor.shards; i++) {
        if (*text++ != (i == 0 ? ':' : '.'))
            return ERR_PARSE;
        if (read_number(&text, BASE, &cursor.positions[i]) < 0)
            return ERR_PARSE;
    }
    if (*text != '\0')
        return ERR_PARSE;
    *ret_cursor = cursor;
    return 0;
}

void cursor_advance(struct cursor *cursor, uint32_t shard, int64_t position)
{
    if (shard >= cursor->shards)
        cursor->shards = shard + 1;
    cursor->positions[shard] = position;
}

static void write_number(int64_t number, struct buf *out)
{
    char digits[16];
    size_t count = 0;
    for (; number > 0; number /= BASE)
        digits[count++] = "0123456789abcdefghijklmnopqrstuvwxyz"[number % BASE];
    while (count > 0)
        (void)buf_char(out, digits[--count]);
}

void cursor_write(const struct cursor *cursor, struct buf *out)
{
    (void)buf_int(out, cursor->shards);
    for (uint32_t i = 0; i < cursor->shards; i++) {
        (void)buf_char(out, i == 0 ? ':' : '.');
        write_number(cursor->positions[i], out);
    }
}
