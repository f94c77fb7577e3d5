#include "common/base/encode.h"

#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

static const char upper_digits[] = "0123456789ABCDEF";
static const char lower_digits[] = "0123456789abcdef";
static const char unreserved[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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

int hex_byte(const char *digits)
{
    int high = hex_digit(digits[0]);
    int low = high < 0 ? -1 : hex_digit(digits[1]); /* the text may end after the first */
    return low < 0 ? -1 : high * 16 + low;
}

void hex_put(unsigned char byte, char *ret_digits)
{
    ret_digits[0] = lower_digits[byte >> 4];
    ret_digits[1] = lower_digits[byte & 15];
}

void hex_encode(const void *bytes, size_t count, char *ret_hex)
{
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++)
        hex_put(from[i], ret_hex + 2 * i);
    ret_hex[2 * count] = '\0';
}

bool hex_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (hex_digit(text[i]) < 0 || (text[i] >= 'A' && text[i] <= 'F'))
            return false;
    return true;
}

int percent_decode(const char *from, size_t len, char *ret_text, size_t size)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        if (c == '%') {
            int byte = len - i > 2 ? hex_byte(from + i + 1) : -1;
            if (byte < 0)
                return ERR_PARSE;
            c = (char)byte;
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

int percent_encode(struct buf *out, const char *text)
{
    int code = 0;
    while (*text != '\0' && code == 0) {
        size_t len = strspn(text, unreserved);
        code = buf_append(out, text, len);
        text += len;
        if (*text != '\0' && code == 0) {
            unsigned char c = (unsigned char)*text++;
            const char escape[3] = {'%', upper_digits[c >> 4], upper_digits[c & 15]};
            code = buf_append(out, escape, sizeof escape);
        }
    }
    return code;
}

void base64_encode(const void *bytes, size_t count, char *ret_text)
{
    const unsigned char *from = bytes;
    char *to = ret_text;
    for (size_t i = 0; i < count; i += 3) {
        uint32_t group = (uint32_t)from[i] << 16;
        if (count - i > 1)
            group |= (uint32_t)from[i + 1] << 8;
        if (count - i > 2)
            group |= from[i + 2];
        *to++ = base64_digits[group >> 18];
        *to++ = base64_digits[group >> 12 & 63];
        *to++ = base64_digits[group >> 6 & 63];
        *to++ = base64_digits[group & 63];
        if (count - i < 3)
            to[-1] = '=';
        if (count - i < 2)
            to[-2] = '=';
    }
    *to = '\0';
}

bool base64_valid(const char *text, size_t bytes)
{
    size_t len = BASE64_SIZE(bytes) - 1;
    size_t padding = (3 - bytes % 3) % 3;
    return strlen(text) == len && strspn(text, base64_digits) == len - padding &&
           strspn(text + len - padding, "=") == padding;
}

size_t base64url_encode(const void *bytes, size_t count, char *ret_text)
{
    const unsigned char *from = bytes;
    size_t len = 0;
    uint32_t held = 0; /* bits that are not written yet */
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) {
        held = held << 8 | from[i];
        for (bits += 8; bits >= 6; bits -= 6)
            ret_text[len++] = base64url_digits[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        ret_text[len++] = base64url_digits[held << (6 - bits) & 63];
    ret_text[len] = '\0';
    return len;
}

/* 0 to 63; -1: it is no digit of this alphabet. */
static int base64_value(const char *digits, char c)
{
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

static int decode(const char *digits, const char *text, size_t len, void *ret_bytes, size_t size,
                  size_t *ret_count)
{
    unsigned char *to = ret_bytes;
    size_t count = 0;
    uint32_t held = 0;
    unsigned bits = 0;
    if (len % 4 == 1)
        return ERR_PARSE;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(digits, text[i]);
        if (value < 0)
            return ERR_PARSE;
        held = held << 6 | (uint32_t)value;
        bits += 6;
        if (bits < 8)
            continue;
        if (count == size)
            return ERR_FULL;
        bits -= 8;
        to[count++] = (unsigned char)(held >> bits & 255);
    }
    if ((held & ((1u << bits) - 1)) != 0)
        return ERR_PARSE;
    *ret_count = count;
    return 0;
}

int base64url_decode(const char *text, size_t len, void *ret_bytes, size_t size, size_t *ret_count)
{
    return decode(base64url_digits, text, len, ret_bytes, size, ret_count);
}

int base64_decode(const char *text, size_t len, void *ret_bytes, size_t size, size_t *ret_count)
{
    size_t padding = 0;
    if (len % 4 != 0)
        return ERR_PARSE;
    while (padding < 2 && padding < len && text[len - padding - 1] == '=')
        padding++;
    return decode(base64_digits, text, len - padding, ret_bytes, size, ret_count);
}
