#include "common/net/amqp/broker_attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/amqp/broker_socket.h"
#include "common/net/tcp_connect.h"

#define CONNECT_MS 3000

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

static void connect_in_thread(void *arg)
{
    struct broker_attempt *a = arg;
    int fd = -1;
    a->code = tcp_connect(a->host.host, a->host.port, a->round, CONNECT_MS, &fd, a->reason,
                          sizeof a->reason);
    if (a->code != 0)
        return;
    broker_socket_tune(fd, a->heartbeat_s);
    char problem[WIRE_REASON_SIZE];
    a->code = wire_login(fd, &a->host, a->name, a->heartbeat_s, &a->wire, problem);
    if (a->code != 0)
        (void)snprintf(a->reason, sizeof a->reason, "%.40s:%u: login failed: %.230s", a->host.host,
                       a->host.port, problem);
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
