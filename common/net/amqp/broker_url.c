#include "common/net/amqp/broker_url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/url.h"

#define PORT_DEFAULT 5672
#define PORT_TLS 5671

static const char *read_vhost(const struct url *url, struct broker_host *out)
{
    struct url_part name = {url->path.text + 1, url->path.len - 1};
    if (url->path.len <= 1)
        return NULL;
    if (memchr(name.text, '/', name.len) != NULL ||
        url_decode(name, out->vhost, sizeof out->vhost) < 0)
        return "the virtual host is malformed or too long (a / in it is written %2f)";
    return NULL;
}

/* NULL, or what is wrong with this one URL. */
static const char *read_url(const char *text, size_t len, struct broker_host *out)
{
    struct url url;
    const char *problem = NULL;
    if (url_parse(text, len, &url, &problem) < 0)
        return problem;
    if (url.rest.len > 0)
        return "it takes no ?parameters; settings have variables of their own";
    (void)strcpy(out->user, "guest");
    (void)strcpy(out->password, "guest");
    (void)strcpy(out->vhost, "/");
    out->tls = url_has_scheme(text, len, "amqps");
    out->port = url.port;
    if (url.port == 0)
        out->port = out->tls ? PORT_TLS : PORT_DEFAULT;
    problem = url_login(&url, out->user, sizeof out->user, out->password, sizeof out->password);
    if (problem == NULL)
        problem = read_vhost(&url, out);
    if (problem == NULL && url_decode(url.host, out->host, sizeof out->host) < 0)
        problem = "the host is too long";
    return problem;
}

int broker_url_parse(const char *urls, struct broker_hosts *ret_hosts, const char **ret_problem)
{
    struct broker_hosts parsed = {calloc(BROKER_HOSTS_MAX, sizeof *parsed.hosts), 0};
    if (parsed.hosts == NULL)
        return ERR_NOMEM;
    const char *problem = NULL;
    for (bool more = true; more && problem == NULL; parsed.count++) {
        size_t len = strcspn(urls, ",");
        if (!url_has_scheme(urls, len, "amqp") && !url_has_scheme(urls, len, "amqps"))
            problem = parsed.count == 0
                          ? "it must start with amqp:// or amqps://"
                          : "each of the list must start with amqp:// or amqps://" URL_HINT;
        else if (parsed.count == BROKER_HOSTS_MAX)
            problem = "more than 16 brokers";
        else
            problem = read_url(urls, len, &parsed.hosts[parsed.count]);
        more = urls[len] == ',';
        urls += len + more;
    }
    if (problem != NULL) {
        parsed.count = 0; /* the wipe below covers the whole array */
        broker_url_free(&parsed);
        *ret_problem = problem;
        return ERR_PARSE;
    }
    *ret_hosts = parsed;
    return 0;
}

void broker_url_free(struct broker_hosts *hosts)
{
    if (hosts->hosts != NULL)
        explicit_bzero(hosts->hosts, BROKER_HOSTS_MAX * sizeof *hosts->hosts);
    free(hosts->hosts);
    *hosts = (struct broker_hosts){NULL, 0};
}
