#include "common/net/redis/redis_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/net/url.h"

#define DEFAULT_PORT 6379
#define DATABASE_MAX 65535

static const char *read_login(const struct url *url, struct redis_url *out)
{
    if (!url->has_user)
        return NULL;
    if (url_decode(url->user, out->user, sizeof out->user) < 0 ||
        url_decode(url->password, out->password, sizeof out->password) < 0)
        return "the user or password is malformed or too long" URL_HINT;
    if (out->password[0] == '\0' && (out->user[0] != '\0' || !url->has_password))
        return "it has a user without a password" URL_HINT;
    return NULL;
}

static const char *read_database(const struct url *url, struct redis_url *out)
{
    int64_t database;
    if (url->path.len <= 1)
        return NULL;
    if (parse_intn(url->path.text + 1, url->path.len - 1, 0, DATABASE_MAX, &database) < 0)
        return "the database is not a number from 0 to 65535";
    out->database = (uint32_t)database;
    return NULL;
}

static const char *parse(const char *text, struct redis_url *out)
{
    struct url url;
    const char *problem = NULL;
    out->tls = url_has_scheme(text, strlen(text), "rediss");
    if (!out->tls && !url_has_scheme(text, strlen(text), "redis"))
        return "it must start with redis:// or rediss://";
    if (url_parse(text, strlen(text), &url, &problem) < 0)
        return problem;
    if (url.rest.len > 0)
        return "it allows no ?parameters; settings have variables of their own";
    if (url.port > 0)
        out->port = url.port;
    problem = read_login(&url, out);
    if (problem == NULL)
        problem = read_database(&url, out);
    url_host_of(text, out->host, sizeof out->host); /* url_parse has refused a wrong one */
    return problem;
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
