/* Requests become sockets here: handshake, who it is, limits, and the life of a session. */
#ifndef NOTIFIER_SERVER_H
#define NOTIFIER_SERVER_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/http/http.h"
#include "common/shop/jwt.h"
#include "common/base/loop.h"
#include "notifier/subscriptions.h"
#include "notifier/registry.h"
#include "notifier/replay.h"
#include "notifier/stats.h"

struct serve;

struct serve_options {
    struct loop *loop;
    const char *host;
    uint16_t port;
    unsigned sockets_max;
    uint64_t ping_ms;
    const char *origins;
    struct jwt *jwt;
    struct hub *hub;
    struct feed *feed;
    struct replay *replay;
    struct stats *stats;
};

/* Starts listening. ERR_UNAVAILABLE: the address cannot be bound (errno tells why). The strings and
 * parts must outlive it. */
MUST_CHECK int serve_open(const struct serve_options *options, struct serve **ret_serve);
/* Takes no more, says goodbye (1001) to all, and calls `done` when the last has left, or soon. */
void serve_drain(struct serve *serve, loop_cb done, void *arg);
/* Ends what is left at once. NULL is allowed. */
void serve_close(struct serve *serve);

#endif
