/* The listening socket of an HTTP server. */
#ifndef COMMON_NET_HTTP_HTTP_LISTEN_H
#define COMMON_NET_HTTP_HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define HTTP_LISTEN_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Binds `host`:`port` (0: a free one) without listening, so that nothing else gets it; the caller
 * closes *ret_fd. ERR_UNAVAILABLE: it cannot bind the address (see errno). */
MUST_CHECK int http_bind(const char *host, uint16_t port, bool reuse_port, int *ret_fd,
                         uint16_t *ret_port);

/* Listens on a socket of http_bind(), and raises the limit of descriptors for *connections; where
 * that is not possible it lowers *connections. ERR_UNAVAILABLE: another socket has the address (see
 * errno). */
MUST_CHECK int http_listen(int fd, unsigned *connections, uint16_t *ret_port, bool *ret_ipv6);

/* While held, the kernel ignores who begins to connect (who tries again 1 s later), but completes
 * what has begun. ERR_UNAVAILABLE: it cannot, and nothing has changed. */
MUST_CHECK int http_listen_hold(int fd, bool hold);

#endif
