#include "common/net/smtp/smtp_reply.h"

#include <ctype.h>
#include <string.h>

#define CODE_LEN ((size_t)4) /* "450 " */

/* How many digits there are, up to `most`. */
static size_t digits(const char *text, size_t len, size_t most)
{
    size_t count = 0;
    while (count < len && count < most && isdigit((unsigned char)text[count]) != 0)
        count++;
    return count;
}

/* The length of "4.7.1" at the beginning; 0: there is none. */
static size_t detail_len(const char *text, size_t len)
{
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        size_t count = digits(text + at, len - at, part == 0 ? 1 : 3);
        at += count;
        if (count == 0 || (part < 2 && (at == len || text[at++] != '.')))
            return 0;
    }
    return at == len || isspace((unsigned char)text[at]) != 0 ? at : 0;
}

bool smtp_reply_detail(const char *line, size_t len, char ret_detail[SMTP_DETAIL_SIZE])
{
    if (len < CODE_LEN || digits(line, CODE_LEN, CODE_LEN) != CODE_LEN - 1 ||
        (line[CODE_LEN - 1] != ' ' && line[CODE_LEN - 1] != '-'))
        return false;
    size_t own = detail_len(line + CODE_LEN, len - CODE_LEN);
    if (own == 0)
        return false;
    memcpy(ret_detail, line + CODE_LEN, own);
    ret_detail[own] = '\0';
    return true;
}
