#include "common/net/http/http_head.h"

#include <string.h>
#include <strings.h>

#include "common/base/encode.h"
#include "common/base/parse.h"

static bool is_header(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strcasecmp(name, wanted) == 0;
}

static uint64_t number(const char *text)
{
    int64_t value;
    (void)parse_digits(text, &value);
    return (uint64_t)value;
}

/* RFC 9110, 5.6.2. */
static const bool token_chars[256] = {
    ['!'] = true,         ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,
    ['-'] = true,         ['.'] = true,          ['0' ... '9'] = true, ['A' ... 'Z'] = true,
    ['^' ... 'z'] = true, ['|'] = true,          ['~'] = true};

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!token_chars[(unsigned char)text[i]])
            return false;
    return len > 0;
}

void http_head_add(struct http_head *head, const char *name, size_t name_len, const char *value,
                   size_t value_len)
{
    if (strlen(name) != name_len || (value != NULL && strlen(value) != value_len))
        head->has_nul = true;
    if (!is_token(name, name_len))
        head->wrong_name = true;
    switch (name[0]) {
    case 'h':
    case 'H':
        head->hosts += is_header(name, name_len, "Host");
        break;
    case 'c':
    case 'C':
        if (is_header(name, name_len, "Content-Length")) {
            head->lengths++;
            head->length = value == NULL ? 0 : number(value);
        }
        break;
    case 't':
    case 'T':
        if (is_header(name, name_len, "Transfer-Encoding")) {
            head->encodings++;
            head->chunked = value != NULL && strcasecmp(value, "chunked") == 0;
        }
        break;
    default:
        break;
    }
}

const char *http_head_ambiguity(const struct http_head *head, const char *version)
{
    if (head->lengths > 1)
        return "there is more than one Content-Length";
    if (head->encodings > 0 && head->lengths > 0)
        return "there are both Content-Length and Transfer-Encoding";
    if (head->encodings > 1)
        return "there is more than one Transfer-Encoding";
    if (head->encodings == 1 && !head->chunked)
        return "the only Transfer-Encoding that is allowed is chunked";
    if (head->hosts > 1)
        return "there is more than one Host";
    if (head->hosts == 0 && strcmp(version, "HTTP/1.1") == 0)
        return "there is no Host";
    if (head->has_nul)
        return "a header contains NUL";
    return head->wrong_name ? "the name of a header is no name, or has white space behind it"
                            : NULL;
}

const char *http_target_path(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], len) != 0)
            continue;
        const char *path = strchr(target + len, '/');
        return path == NULL ? "/" : path;
    }
    return target;
}

size_t http_unescape(char *text)
{
    unsigned char *start = (unsigned char *)text;
    unsigned char *to = start;
    for (const unsigned char *from = start; *from != '\0';) {
        int value = *from == '%' ? hex_byte((const char *)from + 1) : 0;
        *to++ = value > 0 ? (unsigned char)value : *from;
        from += value > 0 ? 3 : 1;
    }
    *to = '\0';
    return (size_t)(to - start);
}
