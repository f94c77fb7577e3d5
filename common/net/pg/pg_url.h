/* The hosts of a database URL that was checked. */
#ifndef COMMON_NET_PG_PG_URL_H
#define COMMON_NET_PG_PG_URL_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg_hosts.h"

/* Hosts, or addresses where it gives those alone. */
size_t pg_url_hosts(const char *url);
/* Host number `index`; its address where the URL gives one ("hostaddr"), else "". 0, ERR_PARSE, or
 * ERR_INVALID: hosts and ports do not match, or are too long. */
MUST_CHECK int pg_url_host(const char *url, size_t index, struct pg_host *ret_host,
                           struct pg_host *ret_address);

#endif
