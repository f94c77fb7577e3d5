/* Connecting a TCP socket with a deadline and a reason that a person understands. Blocks. */
#ifndef COMMON_NET_TCP_CONNECT_H
#define COMMON_NET_TCP_CONNECT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

/*
 * Resolves `host` and tries its addresses in turn from number `round` on (hosts.h), all within
 * `timeout_ms` (an address that does not answer leaves time for the next ones). 0 with a
 * non-blocking, close-on-exec socket without Nagle's delay in `ret_fd`, or ERR_UNAVAILABLE or
 * ERR_NOT_FOUND (there is no such name) with the reason.
 */
MUST_CHECK int tcp_connect(const char *host, uint16_t port, unsigned round, int timeout_ms,
                           int *ret_fd, char *ret_reason, size_t reason_size);

#endif
