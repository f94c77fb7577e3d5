#include "common/net/amqp/broker_url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/base/err.h"

#define SCHEME "amqp://"
#define PORT_DEFAULT 5672

/* A stretch of the text, not terminated. */
struct part {
    const char *text;
    size_t len;
};

static bool decode(struct part part, char *out, size_t size)
{
    return percent_decode(part.text, part.len, out, size) == 0;
}

/* The part of `rest` before the first `c`, which is taken off with it; false if there is none. */
static bool cut(struct part *rest, char c, struct part *ret_before)
{
    const char *found = memchr(rest->text, c, rest->len);
    if (found == NULL)
        return false;
    *ret_before = (struct part){rest->text, (size_t)(found - rest->text)};
    rest->len -= ret_before->len + 1;
    rest->text = found + 1;
    return true;
}

static const char *read_user(struct part user, struct broker_host *out)
{
    struct part name = user;
    if (cut(&user, ':', &name)) {
        if (!decode(user, out->password, sizeof out->password))
            return "the password is malformed or too long (is a special character not "
                   "percent-encoded?)";
    }
    if (!decode(name, out->user, sizeof out->user) || out->user[0] == '\0')
        return "the user name is empty, malformed or too long";
    return NULL;
}

static const char *read_port(struct part text, struct broker_host *out)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return "the port is not a number";
        port = port * 10 + (uint32_t)(text.text[i] - '0');
        if (port > UINT16_MAX)
            return "the port is out of range (1 to 65535)";
    }
    if (port == 0)
        return "the port is out of range (1 to 65535)";
    out->port = (uint16_t)port;
    return NULL;
}

static const char *read_address(struct part address, struct broker_host *out)
{
    struct part name = address;
    bool has_port;
    if (address.len > 0 && address.text[0] == '[') {
        struct part bracketed;
        if (!cut(&address, ']', &bracketed))
            return "the bracket of the IPv6 address is not closed";
        name = (struct part){bracketed.text + 1, bracketed.len - 1};
        has_port = address.len > 0;
        if (has_port && address.text[0] != ':')
            return "what follows the IPv6 address is not a port";
        address = has_port ? (struct part){address.text + 1, address.len - 1} : address;
    } else {
        has_port = cut(&address, ':', &name);
    }
    if (!decode(name, out->host, sizeof out->host) || out->host[0] == '\0')
        return "the host is empty, malformed or too long";
    return has_port ? read_port(address, out) : NULL;
}

/* NULL, or what is wrong with this one URL. */
static const char *read_url(struct part url, struct broker_host *out)
{
    const size_t scheme = sizeof SCHEME - 1;
    if (url.len < scheme || memcmp(url.text, SCHEME, scheme) != 0)
        return "it must start with amqp://";
    struct part rest = {url.text + scheme, url.len - scheme};
    if (memchr(rest.text, '?', rest.len) != NULL || memchr(rest.text, '#', rest.len) != NULL)
        return "it takes no ?parameters; settings have variables of their own";
    (void)strcpy(out->user, "guest");
    (void)strcpy(out->password, "guest");
    (void)strcpy(out->vhost, "/");
    out->port = PORT_DEFAULT;
    struct part address = rest;
    if (cut(&rest, '/', &address)) {
        if (!decode(rest, out->vhost, sizeof out->vhost) ||
            memchr(rest.text, '/', rest.len) != NULL)
            return "the virtual host is malformed or too long (a / in it is written %2f)";
        if (out->vhost[0] == '\0')
            (void)strcpy(out->vhost, "/");
    }
    struct part user;
    const char *problem = cut(&address, '@', &user) ? read_user(user, out) : NULL;
    return problem != NULL ? problem : read_address(address, out);
}

int broker_url_parse(const char *urls, struct broker_hosts *ret_hosts, const char **ret_problem)
{
    struct broker_hosts parsed = {calloc(BROKER_HOSTS_MAX, sizeof *parsed.hosts), 0};
    if (parsed.hosts == NULL)
        return ERR_NOMEM;
    const char *problem = NULL;
    struct part rest = {urls, strlen(urls)};
    for (bool more = true; more && problem == NULL;) {
        struct part url = rest;
        more = cut(&rest, ',', &url);
        problem = parsed.count == BROKER_HOSTS_MAX ? "more than 16 brokers"
                                                   : read_url(url, &parsed.hosts[parsed.count]);
        parsed.count++;
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
