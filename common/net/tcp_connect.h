/* Connecting a TCP socket with a deadline and a reason that a person understands. Blocks. */
#ifndef COMMON_NET_TCP_CONNECT_H
#define COMMON_NET_TCP_CONNECT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

/*
 * Resolves `host` and tries its addresses in turn, `timeout_ms` for each. 0 with a non-blocking,
 * close-on-exec socket without Nagle's delay in `ret_fd`, or ERR_UNAVAILABLE or ERR_NOT_FOUND
 * (the name has no address) with the reason.
 */
MUST_CHECK int tcp_connect(const char *host, uint16_t port, int timeout_ms, int *ret_fd,
                           char *ret_reason, size_t reason_size);

#endif
