#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/service/cfg_impl.h"

/* Passwords that files hold: they go into the URLs, so that all that reads a URL stays as it is. */

#define URL_MAX ((size_t)64 * 1024)

/* Where the login of a URL ends, with its @; NULL: it has none. */
static const char *login_end(const char *login)
{
    size_t len = strcspn(login, "/?#,@");
    return login[len] == '@' ? login + len : NULL;
}

/* Appends one URL of `len` bytes with the password in it. NULL, or what is wrong. */
static const char *add_to_url(const char *url, size_t len, const char *password, bool user_needed,
                              struct buf *out)
{
    const char *scheme_end = strstr(url, "://");
    if (scheme_end == NULL || scheme_end >= url + len) { /* a further host of the same URL */
        (void)buf_append(out, url, len);
        return NULL;
    }
    const char *login = scheme_end + 3;
    const char *end = login_end(login);
    if (end != NULL && memchr(login, ':', (size_t)(end - login)) != NULL)
        return "it has a password, and so has the file of ";
    if (user_needed && (end == NULL || end == login))
        return "it names no user for the password in the file of ";
    const char *host = end == NULL ? login : end + 1;
    (void)buf_append(out, url, (size_t)((end == NULL ? login : end) - url));
    (void)buf_char(out, ':');
    (void)percent_encode(out, password);
    (void)buf_char(out, '@');
    (void)buf_append(out, host, (size_t)(url + len - host));
    return NULL;
}

int cfg_add_password(struct cfg_value *url, const struct cfg_value *password, bool user_needed,
                     const char **ret_problem)
{
    struct buf out;
    buf_init(&out, URL_MAX);
    const char *rest = url->text;
    *ret_problem = NULL;
    if (strlen(password->secret) != password->secret_len)
        *ret_problem = "no password has a NUL byte, but one is in the file of ";
    for (bool more = true; more && *ret_problem == NULL;) {
        size_t len = strcspn(rest, ",");
        *ret_problem = add_to_url(rest, len, password->secret, user_needed, &out);
        more = rest[len] == ',';
        if (more)
            (void)buf_char(&out, ',');
        rest += len + more;
    }
    char *text = *ret_problem == NULL && !out.failed ? strdup(buf_text(&out)) : NULL;
    if (out.data != NULL)
        explicit_bzero(out.data, out.len);
    buf_free(&out);
    if (*ret_problem != NULL)
        return ERR_CONFIG;
    if (text == NULL)
        return ERR_NOMEM;
    explicit_bzero(url->text, strlen(url->text));
    free(url->text);
    url->text = text;
    return 0;
}
