/* One try to connect to the broker and log in, in a background thread. */
#ifndef COMMON_NET_AMQP_BROKER_ATTEMPT_H
#define COMMON_NET_AMQP_BROKER_ATTEMPT_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/amqp/broker_wire.h"

struct broker_attempt;

/* From the loop, once, unless given up: 0 with the wire, which passes to the one called, or a code
 * of tcp_connect or wire_login with a reason that names the host and holds no secret. */
typedef void (*broker_attempt_cb)(int code, struct wire *wire, const char *reason, void *arg);

/* Ends within 3 s for the connection (5 s with TLS) and 5 s for the login, but for what the
 * resolver takes; copies what it needs. `round`: see hosts.h. NULL: no memory. */
struct broker_attempt *broker_attempt_start(struct loop *loop, const struct broker_host *host,
                                            unsigned round, const char *name, uint32_t heartbeat_s,
                                            broker_attempt_cb cb, void *arg);
/* No callback comes; its thread ends by itself. NULL is allowed. */
void broker_attempt_give_up(struct broker_attempt *attempt);

#endif
