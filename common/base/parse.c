#include "common/base/parse.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/err.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Appends a digit to a number that counts down from 0, so that INT64_MIN fits. */
static bool append_digit(int64_t *negative, char c)
{
    return !__builtin_mul_overflow(*negative, 10, negative) &&
           !__builtin_sub_overflow(*negative, c - '0', negative);
}

int parse_intn(const char *text, size_t len, int64_t low, int64_t high, int64_t *ret_number)
{
    bool minus = low < 0 && len > 0 && text[0] == '-';
    int64_t negative = 0;
    bool fits = true;
    if (len == (size_t)minus)
        return ERR_PARSE;
    for (size_t i = minus; i < len; i++) {
        if (!is_digit(text[i]))
            return ERR_PARSE;
        fits = fits && append_digit(&negative, text[i]);
    }
    if (!fits || (!minus && negative == INT64_MIN))
        return ERR_FULL;
    int64_t number = minus ? negative : -negative;
    if (number < low || number > high)
        return ERR_FULL;
    *ret_number = number;
    return 0;
}

int parse_int(const char *text, int64_t low, int64_t high, int64_t *ret_number)
{
    return text == NULL ? ERR_PARSE : parse_intn(text, strlen(text), low, high, ret_number);
}

size_t parse_digits(const char *text, int64_t *ret_number)
{
    size_t count = 0;
    while (is_digit(text[count]))
        count++;
    int64_t number = 0;
    if (count > 0 && parse_intn(text, count, 0, INT64_MAX, &number) < 0)
        number = INT64_MAX;
    *ret_number = number;
    return count;
}
