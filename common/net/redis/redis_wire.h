/* A few calls around hiredis, which formats commands and parses replies, on a socket that is
 * connected already, with TLS or without. No loop, no queue, nothing that blocks. */
#ifndef COMMON_NET_REDIS_REDIS_WIRE_H
#define COMMON_NET_REDIS_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/redis/redis_reply.h"
#include "common/net/tls.h"

struct redis_wire;

/* Takes the non-blocking socket and the TLS on it (NULL: plain), also on failure. NULL: no memory.
 */
struct redis_wire *redis_wire_new(int fd, struct tls *tls);
/* Closes the socket. NULL is allowed. */
void redis_wire_free(struct redis_wire *wire);
/* What went wrong, after ERR_IO or ERR_PARSE. */
const char *redis_wire_problem(const struct redis_wire *wire);

/* Queues a command. ERR_NOMEM, or ERR_FULL when too many bytes wait for the socket. */
MUST_CHECK int redis_wire_append(struct redis_wire *wire, size_t argc, const char *const *argv,
                                 const size_t *argv_len);
/* Sends what is queued: 0, 1 (the socket takes no more now), or ERR_IO. */
MUST_CHECK int redis_wire_flush(struct redis_wire *wire);
/* Reads what is there. ERR_IO. */
MUST_CHECK int redis_wire_read(struct redis_wire *wire);
/* Passes the next complete reply to `cb`: 1, 0 if there is none, ERR_PARSE, ERR_NOMEM. */
MUST_CHECK int redis_wire_next(struct redis_wire *wire, redis_reply_cb cb, void *arg);

#endif
