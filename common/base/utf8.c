#include "common/base/utf8.h"

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Bytes of a character that begins with `first`; 0: no character begins so. */
static size_t len_by_first(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_len(const char *text, size_t len)
{
    if (len == 0)
        return 0;
    unsigned char first = (unsigned char)text[0];
    size_t own = len_by_first(first);
    if (own > len)
        return 0;
    for (size_t i = 1; i < own; i++)
        if (!continues(text[i]))
            return 0;
    if (own < 3)
        return own;
    unsigned char second = (unsigned char)text[1];
    bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    bool surrogate = first == 0xed && second > 0x9f;
    bool outside = first == 0xf4 && second > 0x8f;
    return overlong || surrogate || outside ? 0 : own;
}

bool utf8_valid(const char *text, size_t len)
{
    while (len > 0) {
        size_t own = utf8_len(text, len);
        if (own == 0)
            return false;
        text += own;
        len -= own;
    }
    return true;
}

size_t utf8_put(uint32_t c, char ret_text[UTF8_MAX])
{
    size_t n = 0;
    if (c < 0x80) {
        ret_text[n++] = (char)c;
        return n;
    }
    if (c < 0x800) {
        ret_text[n++] = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            ret_text[n++] = (char)(0xe0 | c >> 12);
        } else {
            ret_text[n++] = (char)(0xf0 | c >> 18);
            ret_text[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        }
        ret_text[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    ret_text[n++] = (char)(0x80 | (c & 0x3f));
    return n;
}

size_t utf8_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += !continues(*text);
    return count;
}

size_t utf8_skip(const char *text, size_t count)
{
    size_t len = 0;
    for (; count > 0 && text[len] != '\0'; count--)
        do
            len++;
        while (continues(text[len]));
    return len;
}

size_t utf8_cut(const char *text, size_t len)
{
    while (len > 0 && continues(text[len]))
        len--;
    return len;
}

bool utf16_is_high(uint32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

bool utf16_is_low(uint32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}
