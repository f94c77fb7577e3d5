#include "common/shop/origins.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/url.h"

#define ORIGIN_SIZE 512
#define BLANKS " \t"

struct origins {
    bool every;
    char *list; /* in the browsers' form, each followed by NUL, an empty one at the end */
};

/* The port that browsers leave out; 0: none. */
static uint16_t usual_port(const char *scheme, size_t len)
{
    static const struct {
        const char *scheme;
        uint16_t port;
    } usual[] = {{"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}};
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (len == strlen(usual[i].scheme) && strncmp(scheme, usual[i].scheme, len) == 0)
            return usual[i].port;
    return 0;
}

/* Length of the scheme that an origin begins with; 0: none. */
static size_t scheme_len(const char *text)
{
    size_t len = 0;
    if (isalpha((unsigned char)text[0]) == 0)
        return 0;
    while (isalnum((unsigned char)text[len]) != 0 ||
           (text[len] != '\0' && strchr("+-.", text[len])))
        len++;
    return strncmp(text + len, "://", 3) == 0 ? len : 0;
}

/* Brings an origin to the browsers' form; false: it is none. */
static bool normalize(const char *text, size_t len, char ret_origin[ORIGIN_SIZE])
{
    char lower[ORIGIN_SIZE] = "";
    struct url url;
    const char *problem;
    if (len >= sizeof lower)
        return false;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)tolower((unsigned char)text[i]);
    lower[len] = '\0';
    size_t scheme = scheme_len(lower);
    if (scheme == 0 || strlen(lower) != len || url_parse(lower, len, &url, &problem) < 0 ||
        url.has_user || url.path.len > 0 || url.rest.len > 0)
        return false;
    size_t end = (size_t)(url.host.text + url.host.len - lower);
    end += lower[end] == ']';
    if (url.port == 0 || url.port == usual_port(lower, scheme))
        (void)snprintf(ret_origin, ORIGIN_SIZE, "%.*s", (int)end, lower);
    else
        (void)snprintf(ret_origin, ORIGIN_SIZE, "%.*s:%u", (int)end, lower, url.port);
    return true;
}

/* Reads one of the list, without the blanks around it, to `to`, which moves to its end. */
static bool read_one(struct origins *origins, const char *text, size_t len, char **to)
{
    char origin[ORIGIN_SIZE];
    size_t before = strspn(text, BLANKS);
    before = before < len ? before : len;
    text += before;
    len -= before;
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL)
        len--;
    if (len == 1 && text[0] == '*') {
        origins->every = true;
        return true;
    }
    if (!normalize(text, len, origin))
        return false;
    size_t size = strlen(origin) + 1; /* never longer than the input */
    memcpy(*to, origin, size);
    *to += size;
    return true;
}

int origins_new(const char *list, struct origins **ret_origins, const char **ret_problem)
{
    struct origins *origins = calloc(1, sizeof *origins);
    char *to = calloc(1, strlen(list) + 2);
    if (origins == NULL || to == NULL) {
        free(origins);
        free(to);
        return ERR_NOMEM;
    }
    origins->list = to;
    for (bool more = list[strspn(list, BLANKS)] != '\0'; more;) {
        size_t len = strcspn(list, ",");
        if (!read_one(origins, list, len, &to)) {
            origins_free(origins);
            *ret_problem = "is not a list of origins like https://shop.example (no path, no slash "
                           "at the end), or *";
            return ERR_PARSE;
        }
        more = list[len] == ',';
        list += len + more;
    }
    *ret_origins = origins;
    return 0;
}

void origins_free(struct origins *origins)
{
    if (origins == NULL)
        return;
    free(origins->list);
    free(origins);
}

bool origins_allow(const struct origins *origins, const char *origin)
{
    char sent[ORIGIN_SIZE];
    if (origin == NULL)
        return false;
    if (origins->every)
        return true;
    if (!normalize(origin, strlen(origin), sent))
        return false;
    for (const char *one = origins->list; *one != '\0'; one += strlen(one) + 1)
        if (strcmp(one, sent) == 0)
            return true;
    return false;
}
