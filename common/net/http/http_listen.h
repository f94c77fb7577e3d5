/* The listening socket of an HTTP server. */
#ifndef COMMON_NET_HTTP_HTTP_LISTEN_H
#define COMMON_NET_HTTP_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define HTTP_LISTEN_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Binds `host`:`port` (0: a free one) and listens, non-blocking, and makes room for as many
 * descriptors as connections. `reuse_port`: several processes share the port. The caller closes
 * *ret_fd. ERR_UNAVAILABLE: it cannot bind the address (see errno). */
MUST_CHECK int http_listen(const char *host, uint16_t port, bool reuse_port, unsigned connections,
                           int *ret_fd, uint16_t *ret_port, bool *ret_ipv6);

#endif
