#include "common/base/percent.h"

#include "common/base/err.h"

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int percent_decode(const char *from, size_t len, char *ret_text, size_t size)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(from[i + 1]) : -1;
            int low = len - i > 2 ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_PARSE;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return ERR_PARSE;
        if (out + 1 >= size)
            return ERR_FULL;
        ret_text[out++] = c;
    }
    ret_text[out] = '\0';
    return 0;
}
