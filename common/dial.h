/* Connecting a TCP socket with a deadline and a reason that a person understands. Blocks. */
#ifndef CHECKOUT_DIAL_H
#define CHECKOUT_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "common/attrs.h"

/*
 * Resolves `host` and tries its addresses in turn, `timeout_ms` for each. 0 with a non-blocking,
 * close-on-exec socket without Nagle's delay in `ret_fd`, or ERR_UNAVAILABLE or ERR_NOT_FOUND
 * (the name has no address) with the reason.
 */
MUST_CHECK int dial_tcp(const char *host, uint16_t port, int timeout_ms, int *ret_fd,
                        char *ret_reason, size_t reason_size);

#endif
