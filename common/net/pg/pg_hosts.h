/* Where to connect to: the hosts of a database URL, one at a time, their names looked up here,
 * because libpq would block while it does. */
#ifndef COMMON_NET_PG_PG_HOSTS_H
#define COMMON_NET_PG_PG_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/hosts.h"

#define PG_HOSTS_NAME_SIZE 256
#define PG_HOSTS_PORT_SIZE 8

struct pg_host {
    char name[PG_HOSTS_NAME_SIZE]; /* a name, an address, or the directory of a Unix socket */
    char port[PG_HOSTS_PORT_SIZE]; /* "": the default */
};

/* Fields of a list separated by commas; of "" one. */
size_t pg_hosts_count(const char *list);
/* Takes host number `turn` (modulo their number) out of the URL's lists ("a,b", "5432" or
 * "5432,5433", either may be ""). ERR_INVALID: too long. */
MUST_CHECK int pg_hosts_pick(const char *names, const char *ports, unsigned turn,
                             struct pg_host *ret_host);
/* NULL, or a static text that says what is wrong with a URL's lists. */
const char *pg_hosts_problem(const char *names, const char *ports);
/* Whether the name must be looked up: it is neither absent nor a directory. */
bool pg_hosts_resolvable(const struct pg_host *host);

/* For libpq: the same name once for each address. */
struct pg_addresses {
    char names[HOST_ADDRESSES_MAX * PG_HOSTS_NAME_SIZE];
    char addresses[HOST_ADDRESSES_MAX * HOST_ADDRESS_SIZE];
};

/* Looks the name up (blocks). 0, ERR_NOT_FOUND or ERR_UNAVAILABLE with the reason. The list begins
 * at address number `round`. */
MUST_CHECK int pg_hosts_resolve(const char *name, unsigned round,
                                struct pg_addresses *ret_addresses, char *ret_reason,
                                size_t reason_size);

#endif
