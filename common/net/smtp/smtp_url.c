#include "common/net/smtp/smtp_url.h"

#include <string.h>

#include "common/base/err.h"
#include "common/net/url.h"

#define PORT_SUBMISSION 587 /* RFC 6409 */
#define PORT_TLS 465        /* RFC 8314 */

static const char *read_login(const struct url *url, struct smtp_url *out)
{
    const char *problem =
        url_login(url, out->user, sizeof out->user, out->password, sizeof out->password);
    if (problem != NULL || !url->has_user || out->password[0] != '\0')
        return problem;
    return "it names a user, and there is no password";
}

/* NULL, or what is wrong with this one URL. */
static const char *read_url(const char *text, size_t len, struct smtp_url *out)
{
    struct url url;
    const char *problem = NULL;
    *out = (struct smtp_url){.tls = url_has_scheme(text, len, "smtps")};
    if (!out->tls && !url_has_scheme(text, len, "smtp"))
        return "must start with smtp:// or smtps://";
    if (url_parse(text, len, &url, &problem) < 0)
        return problem;
    if (url.path.len > 1 || url.rest.len > 0)
        return "it takes no path and no ?parameters";
    out->port = url.port;
    if (url.port == 0)
        out->port = out->tls ? PORT_TLS : PORT_SUBMISSION;
    problem = read_login(&url, out);
    if (problem == NULL &&
        (url_decode(url.host, out->host, sizeof out->host) < 0 || !url_host_valid(out->host)))
        problem = "the host is malformed or too long";
    return problem;
}

int smtp_url_parse(const char *urls, struct smtp_url ret_urls[SMTP_URL_HOSTS_MAX],
                   const char **ret_problem)
{
    int count = 0;
    for (const char *text = urls;; text++) {
        size_t len = strcspn(text, ",");
        *ret_problem = count == SMTP_URL_HOSTS_MAX ? "there are more than 8 of them"
                                                   : read_url(text, len, &ret_urls[count]);
        if (*ret_problem != NULL) {
            explicit_bzero(ret_urls, SMTP_URL_HOSTS_MAX * sizeof *ret_urls);
            return ERR_PARSE;
        }
        count++;
        text += len;
        if (*text == '\0')
            return count;
    }
}
