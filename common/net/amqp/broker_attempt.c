#include "common/net/amqp/broker_attempt.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/amqp/broker_socket.h"
#include "common/net/hosts.h"
#include "common/net/tcp_connect.h"

#define CONNECT_MS 3000
#define TLS_CONNECT_MS 5000 /* with the handshake */

/* The thread touches nothing else. */
struct broker_attempt {
    broker_attempt_cb cb; /* NULL: given up. Not touched by the thread. */
    void *arg;
    struct broker_host host;
    unsigned round;
    char *name;
    uint32_t heartbeat_s;
    struct wire *wire;
    int code;
    char reason[WIRE_REASON_SIZE];
};

static void attempt_free(struct broker_attempt *attempt)
{
    explicit_bzero(&attempt->host, sizeof attempt->host);
    free(attempt->name);
    free(attempt);
}

static void login_failed(struct broker_attempt *a, const char *problem)
{
    (void)snprintf(a->reason, sizeof a->reason, "%.40s:%u: login failed: %.230s", a->host.host,
                   a->host.port, problem);
}

static void connect_plain(struct broker_attempt *a)
{
    int fd = -1;
    a->code = tcp_connect(a->host.host, a->host.port, a->round, CONNECT_MS, &fd, a->reason,
                          sizeof a->reason);
    if (a->code != 0)
        return;
    broker_socket_tune(fd, a->heartbeat_s);
    char problem[WIRE_REASON_SIZE];
    a->code = wire_login(fd, &a->host, a->name, a->heartbeat_s, &a->wire, problem);
    if (a->code != 0)
        login_failed(a, problem);
}

/* Tries the addresses of the name in turn, as tcp_connect does, until one refuses the login. The
 * reason of one where somebody else answers says more than that another one is silent. */
static void connect_tls(struct broker_attempt *a)
{
    struct host_addresses addresses;
    a->code =
        host_resolve(a->host.host, a->host.port, a->round, &addresses, a->reason, sizeof a->reason);
    if (a->code != 0)
        return;
    uint64_t end_ms = clock_mono_ms() + TLS_CONNECT_MS;
    bool answered = false;
    int code = ERR_UNAVAILABLE;
    for (size_t i = 0; i < addresses.count && (code == ERR_UNAVAILABLE || code == ERR_REFUSED);
         i++) {
        char address[HOST_ADDRESS_SIZE];
        char problem[WIRE_REASON_SIZE];
        uint64_t now = clock_mono_ms();
        size_t share = now >= end_ms ? 1 : (size_t)(end_ms - now) / (addresses.count - i);
        host_address_text(&addresses, i, address);
        code = wire_login_tls(address, (int)share, &a->host, a->name, a->heartbeat_s, &a->wire,
                              problem);
        if (code != 0 && (code != ERR_UNAVAILABLE || !answered))
            login_failed(a, problem);
        answered = answered || code == ERR_REFUSED;
    }
    a->code = code == ERR_REFUSED ? ERR_UNAVAILABLE : code;
    if (a->code == 0)
        broker_socket_tune(wire_fd(a->wire), a->heartbeat_s);
}

static void connect_in_thread(void *arg)
{
    struct broker_attempt *attempt = arg;
    if (attempt->host.tls)
        connect_tls(attempt);
    else
        connect_plain(attempt);
}

static void connected(void *arg)
{
    struct broker_attempt *attempt = arg;
    if (attempt->cb != NULL)
        attempt->cb(attempt->code, attempt->wire, attempt->reason, attempt->arg);
    else
        wire_free(attempt->wire);
    attempt_free(attempt);
}

struct broker_attempt *broker_attempt_start(struct loop *loop, const struct broker_host *host,
                                            unsigned round, const char *name, uint32_t heartbeat_s,
                                            broker_attempt_cb cb, void *arg)
{
    struct broker_attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL)
        return NULL;
    *attempt = (struct broker_attempt){.cb = cb,
                                       .arg = arg,
                                       .host = *host,
                                       .round = round,
                                       .name = strdup(name),
                                       .heartbeat_s = heartbeat_s};
    if (attempt->name == NULL ||
        loop_background(loop, connect_in_thread, connected, attempt) != 0) {
        attempt_free(attempt);
        return NULL;
    }
    return attempt;
}

void broker_attempt_give_up(struct broker_attempt *attempt)
{
    if (attempt != NULL)
        attempt->cb = NULL;
}
