#include "common/net/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/parse.h"

#define HOST_MAX 255

static const char stray_at[] = "there is an @ that does not end the user" URL_HINT;

/* Splits `rest` before the first of `stops`: returns the part before it, leaves the stop and all
 * after it. */
static struct url_part cut(struct url_part *rest, const char *stops)
{
    struct url_part before = {rest->text, 0};
    while (before.len < rest->len && strchr(stops, rest->text[before.len]) == NULL)
        before.len++;
    rest->text += before.len;
    rest->len -= before.len;
    return before;
}

/* Skips `c`; false if it is not next. */
static bool skip(struct url_part *rest, char c)
{
    if (rest->len == 0 || rest->text[0] != c)
        return false;
    rest->text++;
    rest->len--;
    return true;
}

static bool has(struct url_part part, char c)
{
    return part.len > 0 && memchr(part.text, c, part.len) != NULL;
}

bool url_has_scheme(const char *text, size_t len, const char *scheme)
{
    size_t own = strlen(scheme);
    return len >= own + 3 && memcmp(text, scheme, own) == 0 && memcmp(text + own, "://", 3) == 0;
}

/* The part after the scheme; all of it if there is none. */
static struct url_part behind_scheme(const char *text, size_t len)
{
    const char *found = memmem(text, len, "://", 3);
    size_t scheme = found == NULL ? 0 : (size_t)(found - text) + 3;
    return (struct url_part){text + scheme, len - scheme};
}

static bool is_name(const char *host)
{
    const char *p = host;
    while (isalnum((unsigned char)*p) != 0 || *p == '.' || *p == '-' || *p == '_')
        p++;
    return *p == '\0' && p > host;
}

/* Whether it may be an IPv6 address, perhaps with a zone: the resolver decides. */
static bool is_ipv6(const char *host)
{
    size_t len = strspn(host, "0123456789abcdefABCDEF:.");
    return len > 0 && strchr(host, ':') != NULL &&
           (host[len] == '\0' || (host[len] == '%' && is_name(host + len + 1)));
}

bool url_host_valid(const char *host)
{
    return is_name(host) || is_ipv6(host);
}

static const char *read_host(struct url_part host, bool bracketed)
{
    char decoded[HOST_MAX + 1];
    if (host.len == 0)
        return "the host is missing" URL_HINT;
    int code = url_decode(host, decoded, sizeof decoded);
    if (code == ERR_FULL)
        return "the host is too long";
    if (code < 0 || !(bracketed ? is_ipv6(decoded) : is_name(decoded)))
        return "the host has a character that no host has" URL_HINT;
    return NULL;
}

static const char *read_port(struct url_part text, struct url *out)
{
    int64_t port;
    int code = parse_intn(text.text, text.len, 1, UINT16_MAX, &port);
    if (code == ERR_PARSE)
        return "the port is not a number" URL_HINT;
    if (code < 0)
        return "the port is out of range (1 to 65535)";
    out->port = (uint16_t)port;
    return NULL;
}

/* host, host:port, [v6] or [v6]:port */
static const char *read_address(struct url_part address, struct url *out)
{
    bool bracketed = skip(&address, '[');
    out->host = cut(&address, bracketed ? "]" : ":");
    if (bracketed && !skip(&address, ']'))
        return "the bracket of the IPv6 address is not closed";
    const char *problem = read_host(out->host, bracketed);
    if (problem != NULL || address.len == 0)
        return problem;
    return skip(&address, ':') ? read_port(address, out)
                               : "what follows the IPv6 address is not a port";
}

static void read_login(struct url_part login, struct url *out)
{
    out->has_user = true;
    out->user = cut(&login, ":");
    out->has_password = skip(&login, ':');
    out->password = login;
}

int url_parse(const char *text, size_t len, struct url *ret_url, const char **ret_problem)
{
    struct url url = {0};
    struct url_part rest = behind_scheme(text, len);
    struct url_part address = cut(&rest, "/?#");
    if (has(address, '@')) {
        struct url_part login = cut(&address, "@");
        (void)skip(&address, '@');
        read_login(login, &url);
    }
    const char *problem = has(address, '@') || has(rest, '@') ? stray_at : NULL;
    if (problem == NULL)
        problem = read_address(address, &url);
    if (problem != NULL) {
        *ret_problem = problem;
        return ERR_PARSE;
    }
    url.path = cut(&rest, "?#");
    url.rest = rest;
    *ret_url = url;
    return 0;
}

int url_decode(struct url_part part, char *ret_text, size_t size)
{
    return percent_decode(part.text, part.len, ret_text, size);
}

const char *url_login(const struct url *url, char *ret_user, size_t user_size, char *ret_password,
                      size_t password_size)
{
    if (!url->has_user)
        return NULL;
    if (url_decode(url->user, ret_user, user_size) < 0 || ret_user[0] == '\0')
        return "the user name is empty, malformed or too long" URL_HINT;
    if (url->has_password && url_decode(url->password, ret_password, password_size) < 0)
        return "the password is malformed or too long" URL_HINT;
    return NULL;
}

void url_host_of(const char *url, char *ret_host, size_t size)
{
    struct url parsed;
    const char *problem;
    if (url_parse(url, strlen(url), &parsed, &problem) < 0 ||
        url_decode(parsed.host, ret_host, size) < 0)
        ret_host[0] = '\0';
}

const char *url_login_problem(const char *text)
{
    struct url_part rest = behind_scheme(text, strlen(text));
    struct url_part address = cut(&rest, "/"); /* libpq lets a password hold ? and # */
    struct url_part path = cut(&rest, "?");
    (void)cut(&address, "@");
    (void)skip(&address, '@');
    return has(address, '@') || has(path, '@') ? stray_at : NULL;
}

int url_hide_password(const char *text, size_t len, struct buf *out)
{
    struct url_part rest = behind_scheme(text, len);
    size_t scheme = len - rest.len;
    struct url_part address = cut(&rest, "/");
    struct url_part path = cut(&rest, "?");
    (void)buf_append(out, text, scheme);
    if (has(address, '@')) {
        struct url_part login = cut(&address, "@");
        struct url_part user = cut(&login, ":");
        (void)buf_append(out, user.text, user.len);
        if (login.len > 0)
            (void)buf_str(out, ":***");
    }
    struct url_part host = cut(&address, "?");
    (void)buf_append(out, host.text, host.len);
    return buf_append(out, path.text, address.len > 0 ? 0 : path.len);
}
