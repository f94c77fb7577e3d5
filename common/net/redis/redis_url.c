#include "common/net/redis/redis_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"

#define DEFAULT_PORT 6379
#define DATABASE_MAX 65535

/* A number of digits only, up to `max`. */
static bool number(const char *text, size_t len, uint32_t max, uint32_t *ret_number)
{
    uint32_t value = 0;
    if (len == 0 || len > 9)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *ret_number = value;
    return value <= max;
}

/* user:password before the @ */
static const char *parse_login(const char *text, size_t len, struct redis_url *url)
{
    const char *colon = memchr(text, ':', len);
    if (colon == NULL)
        return "has a user without a password";
    size_t user_len = (size_t)(colon - text);
    if (percent_decode(text, user_len, url->user, sizeof url->user) < 0 ||
        percent_decode(colon + 1, len - user_len - 1, url->password, sizeof url->password) < 0)
        return "has a user or password that cannot be decoded";
    if (url->user[0] != '\0' && url->password[0] == '\0')
        return "has a user without a password";
    return NULL;
}

/* host, host:port, [v6] or [v6]:port */
static const char *parse_address(const char *text, size_t len, struct redis_url *url)
{
    const char *host = text;
    size_t host_len = len;
    const char *rest = NULL;
    if (len > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', len);
        if (end == NULL)
            return "has an unclosed bracket in its host";
        host++;
        host_len = (size_t)(end - host);
        rest = end + 1;
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon != NULL)
            host_len = (size_t)(colon - text);
        rest = text + host_len;
    }
    if (host_len == 0 || percent_decode(host, host_len, url->host, sizeof url->host) < 0)
        return "has no usable host";
    size_t rest_len = len - (size_t)(rest - text);
    if (rest_len == 0)
        return NULL;
    uint32_t port = 0;
    if (rest[0] != ':' || !number(rest + 1, rest_len - 1, UINT16_MAX, &port) || port == 0)
        return "has a port that is not a number from 1 to 65535";
    url->port = (uint16_t)port;
    return NULL;
}

static const char *parse(const char *text, struct redis_url *url)
{
    static const char scheme[] = "redis://";
    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return "does not start with redis://";
    text += sizeof scheme - 1;
    size_t authority = strcspn(text, "/?#");
    const char *path = text + authority;
    const char *at = memrchr(text, '@', authority);
    const char *problem = NULL;
    if (at != NULL) {
        size_t login = (size_t)(at - text);
        problem = parse_login(text, login, url);
        text = at + 1;
        authority -= login + 1;
    }
    if (problem == NULL)
        problem = parse_address(text, authority, url);
    if (problem != NULL)
        return problem;
    if (path[0] == '\0' || strcmp(path, "/") == 0)
        return NULL;
    if (path[0] != '/' || !number(path + 1, strlen(path + 1), DATABASE_MAX, &url->database))
        return "has a database that is not a number";
    return NULL;
}

int redis_url_parse(const char *text, struct redis_url *ret_url, const char **ret_problem)
{
    struct redis_url url = {.port = DEFAULT_PORT};
    const char *problem = parse(text, &url);
    if (problem != NULL) {
        *ret_problem = problem;
        return ERR_PARSE;
    }
    *ret_url = url;
    return 0;
}
