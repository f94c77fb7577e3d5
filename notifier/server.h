/* Requests become sockets here: handshake, authentication, limits, and the life of a session. */
#ifndef NOTIFIER_SERVER_H
#define NOTIFIER_SERVER_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/identity/jwt.h"
#include "common/net/http/http.h"
#include "notifier/places.h"
#include "notifier/registry.h"
#include "notifier/replay.h"
#include "notifier/stats.h"
#include "notifier/subscriptions.h"

struct server;
struct origins;

struct server_options {
    struct loop *loop;
    const char *host;
    uint16_t port;
    unsigned sockets_max;
    uint64_t ping_ms;
    const struct origins *origins;
    struct jwt *tokens;  /* of buyers */
    struct jwt *tickets; /* of websockets */
    struct registry *registry;
    struct subscriptions *subscriptions;
    struct replay *replay;
    struct places *places;
    struct stats *stats;
};

/* Starts listening. ERR_UNAVAILABLE: it cannot bind the address (see errno). The strings and parts
 * must outlive the server. */
MUST_CHECK int server_open(const struct server_options *options, struct server **ret_serve);
/* Takes no more sockets, closes all (1012), many of them over 4 s so that their clients do not come
 * to another server all at once, and calls `done` when the last has left or after a while. */
void server_drain(struct server *server, loop_cb done, void *arg);
/* Ends what is left at once. NULL is allowed. */
void server_close(struct server *server);

#endif
