#include "common/net/http/http_values.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/parse.h"

static bool visible(char c)
{
    return c >= 0x21 && c <= 0x7e;
}

/* The text between the quotes, with \" and \\ decoded (RFC 9651). */
static const char *unquote(const char *header, char *ret_key)
{
    size_t n = 0;
    const char *p = header + 1;
    for (; *p != '"'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        if (*p == '\0')
            return "its quotes are not closed";
        if (!visible(*p))
            return "only visible ASCII characters may be in it";
        if (n == HTTP_KEY_MAX)
            return "it has more than 255 characters";
        ret_key[n++] = *p;
    }
    ret_key[n] = '\0';
    if (p[1] != '\0')
        return "something follows its quotes";
    return n == 0 ? "it is empty" : NULL;
}

const char *http_value_key(const char *header, size_t count, char *ret_key)
{
    if (count == 0 || header == NULL)
        return "this header is required";
    if (count > 1)
        return "this header is there more than once";
    if (header[0] == '"')
        return unquote(header, ret_key);
    size_t len = strlen(header);
    for (size_t i = 0; i < len; i++)
        if (!visible(header[i]))
            return "only visible ASCII characters may be in it";
    if (len == 0)
        return "it is empty";
    if (len > HTTP_KEY_MAX)
        return "it has more than 255 characters";
    memcpy(ret_key, header, len + 1);
    return NULL;
}

static bool is_json(const char *content_type)
{
    static const char json[] = "application/json";
    if (content_type == NULL || strncasecmp(content_type, json, sizeof json - 1) != 0)
        return false;
    const char *rest = content_type + sizeof json - 1;
    rest += strspn(rest, " \t");
    if (*rest == '\0')
        return true;
    if (*rest != ';')
        return false;
    rest += strspn(rest, "; \t"); /* a parameter may be empty (RFC 9110, 5.6.6) */
    return *rest == '\0' || strcasecmp(rest, "charset=utf-8") == 0 ||
           strcasecmp(rest, "charset=\"utf-8\"") == 0;
}

const char *http_value_not_json(const struct http_body_kind *kind)
{
    if (kind->content_types > 1 || !is_json(kind->content_type))
        return "send it as Content-Type: application/json";
    if (kind->content_encodings > 1 ||
        (kind->content_encoding != NULL && strcasecmp(kind->content_encoding, "identity") != 0))
        return "send it without Content-Encoding: a compressed body is not read";
    return NULL;
}

unsigned http_value_wait(const char *prefer, unsigned max_s)
{
    while (prefer != NULL && *prefer != '\0') {
        prefer += strspn(prefer, " \t,;");
        if (strncasecmp(prefer, "wait=", 5) == 0) {
            int64_t seconds;
            (void)parse_digits(prefer + 5, &seconds);
            return seconds < max_s ? (unsigned)seconds : max_s;
        }
        prefer += strcspn(prefer, ",;");
    }
    return 0;
}
