#include "common/net/pg/pg_hosts.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/net/hosts.h"
#include "common/net/url.h"

size_t pg_hosts_count(const char *list)
{
    size_t count = 1;
    for (; *list != '\0'; list++)
        if (*list == ',')
            count++;
    return count;
}

/* Copies field number `index` of a comma-separated list. */
static int copy_field(const char *list, size_t index, char *out, size_t size)
{
    for (; index > 0; index--)
        list += strcspn(list, ",") + 1;
    size_t len = strcspn(list, ",");
    if (len >= size)
        return ERR_INVALID;
    memcpy(out, list, len);
    out[len] = '\0';
    return 0;
}

int pg_hosts_pick(const char *names, const char *ports, unsigned turn, struct pg_host *ret_host)
{
    size_t count = pg_hosts_count(names);
    size_t port_count = pg_hosts_count(ports);
    size_t index = turn % count;
    if (port_count != 1 && port_count != count)
        return ERR_INVALID;
    struct pg_host host;
    int code = copy_field(names, index, host.name, sizeof host.name);
    if (code == 0)
        code = copy_field(ports, port_count == 1 ? 0 : index, host.port, sizeof host.port);
    if (code == 0)
        *ret_host = host;
    return code;
}

/* Calls `problem_of` with each field of a list separated by commas; the first problem counts. */
static const char *each_field(const char *list, const char *(*problem_of)(const char *, size_t))
{
    for (;; list++) {
        size_t len = strcspn(list, ",");
        const char *problem = len == 0 ? NULL : problem_of(list, len);
        list += len;
        if (problem != NULL || *list == '\0')
            return problem;
    }
}

static const char *port_problem(const char *port, size_t len)
{
    int64_t number;
    int code = parse_intn(port, len, 1, UINT16_MAX, &number);
    if (code == ERR_PARSE)
        return "the port is not a number" URL_HINT;
    return code < 0 ? "the port is out of range (1 to 65535)" : NULL;
}

static const char *host_problem(const char *host, size_t len)
{
    char name[PG_HOSTS_NAME_SIZE];
    if (host[0] == '/' || host[0] == '@')
        return NULL; /* a socket */
    (void)snprintf(name, sizeof name, "%.*s", (int)len, host);
    return url_host_valid(name) ? NULL : "the host has a character that no host has" URL_HINT;
}

const char *pg_hosts_problem(const char *names, const char *ports)
{
    const char *problem = each_field(ports, port_problem);
    return problem != NULL ? problem : each_field(names, host_problem);
}

bool pg_hosts_resolvable(const struct pg_host *host)
{
    return host->name[0] != '\0' && host->name[0] != '/' && host->name[0] != '@';
}

/* Appends to a comma-separated list. */
static void list_add(char *list, size_t size, const char *value)
{
    size_t len = strlen(list);
    (void)snprintf(list + len, size - len, "%s%s", len > 0 ? "," : "", value);
}

int pg_hosts_resolve(const char *name, unsigned round, struct pg_addresses *ret_addresses,
                     char *ret_reason, size_t reason_size)
{
    struct host_addresses found;
    int code = host_resolve(name, 0, round, &found, ret_reason, reason_size);
    if (code < 0)
        return code;
    struct pg_addresses addresses = {"", ""};
    for (size_t i = 0; i < found.count; i++) {
        char text[HOST_ADDRESS_SIZE];
        host_address_text(&found, i, text);
        list_add(addresses.names, sizeof addresses.names, name);
        list_add(addresses.addresses, sizeof addresses.addresses, text);
    }
    *ret_addresses = addresses;
    return 0;
}
