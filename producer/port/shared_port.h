/*
 * The producer's place on its port, which several processes may share (SO_REUSEPORT). One that
 * cannot take orders leaves the port while another one says that it takes them, and comes back once
 * it can, or once none says so: at most 0.6 s later. At the start it waits until it can, until
 * `listen_by_ms` at the latest. So the last one never leaves, also if all of them lose the broker
 * in the same instant: whoever asks does not take orders itself.
 *
 * Before it leaves, the kernel completes the connections that have begun, and those are answered.
 */
#ifndef PRODUCER_SHARED_PORT_H
#define PRODUCER_SHARED_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/http/http.h"
#include "common/service/metrics.h"

struct shared_port;

struct shared_port_options {
    struct http_options http;
    http_handler handler;
    bool (*takes)(void *arg); /* whether orders can be taken now */
    loop_cb started;          /* once: it listens, or another process takes the orders */
    void *arg;
    uint64_t listen_by_ms;    /* monotonic */
    struct metric *listening; /* NULL is allowed */
};

/* Binds the port; it listens later. `options->http`'s strings must outlive the port.
 * ERR_UNAVAILABLE: it cannot bind the address (see errno). */
MUST_CHECK int shared_port_open(struct loop *loop, const struct shared_port_options *options,
                                struct shared_port **ret_port);
/* Ends every connection, like http_server_close. NULL is allowed. */
void shared_port_close(struct shared_port *port);

bool shared_port_listens(const struct shared_port *port);
/* Takes no more connections, for good; open ones end with their next answer. */
void shared_port_drain(struct shared_port *port);
/* Requests that are not answered, and connections, of all servers that the port had. */
size_t shared_port_pending(const struct shared_port *port);
size_t shared_port_connections(const struct shared_port *port);

#endif
