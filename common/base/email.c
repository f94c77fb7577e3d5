#include "common/base/email.h"

#include <string.h>

#include "common/base/attrs.h"
#include "common/base/utf8.h"

/* White space, controls and invisible characters, beyond ASCII. */
static const struct {
    const char *first; /* characters in UTF-8, whose order is that of the characters */
    const char *last;
} hidden[] = {
    {"\xc2\x80", "\xc2\xa0"},                 /* U+0080 to U+00A0 */
    {"\xc2\xad", "\xc2\xad"},                 /* U+00AD, soft hyphen */
    {"\xe1\x9a\x80", "\xe1\x9a\x80"},         /* U+1680 */
    {"\xe2\x80\x80", "\xe2\x80\x8f"},         /* U+2000 to U+200F */
    {"\xe2\x80\xa8", "\xe2\x80\xaf"},         /* U+2028 to U+202F */
    {"\xe2\x81\x9f", "\xe2\x81\xaf"},         /* U+205F to U+206F */
    {"\xe3\x80\x80", "\xe3\x80\x80"},         /* U+3000 */
    {"\xef\xbb\xbf", "\xef\xbb\xbf"},         /* U+FEFF */
    {"\xf3\xa0\x80\x80", "\xf3\xa0\x81\xbf"}, /* U+E0000 to U+E007F, tags */
};

static bool is_hidden(const char *character, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (strlen(hidden[i].first) == len && memcmp(character, hidden[i].first, len) >= 0 &&
            memcmp(character, hidden[i].last, len) <= 0)
            return true;
    return false;
}

static bool fits_local(char c)
{
    return c > ' ' && c < 0x7f && strchr("\"(),:;<>@[\\]", c) == NULL;
}

static bool fits_host(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
}

/* Whether each character is one beyond ASCII that is seen, or one that `fits`. */
static bool is_made_of(const char *text, size_t len, bool (*fits)(char c))
{
    while (len > 0) {
        size_t own = utf8_len(text, len);
        if (own == 0 || (own == 1 ? !fits(text[0]) : is_hidden(text, own)))
            return false;
        text += own;
        len -= own;
    }
    return true;
}

static bool is_host(const char *text, size_t len)
{
    if (len == 0 || text[0] == '.' || text[len - 1] == '.')
        return false;
    for (size_t i = 1; i < len; i++)
        if (text[i] == '.' && text[i - 1] == '.')
            return false;
    return is_made_of(text, len, fits_host);
}

bool email_valid(const char *text, size_t len)
{
    const char *at = len < 3 || len > EMAIL_MAX ? NULL : memchr(text, '@', len);
    if (at == NULL)
        return false;
    size_t local = (size_t)(at - text);
    return local >= 1 && local <= EMAIL_LOCAL_MAX && is_made_of(text, local, fits_local) &&
           is_host(at + 1, len - local - 1);
}
