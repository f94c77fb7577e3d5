#include "tests/fake/fake_server.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 8
#define HEARD_SIZE 65536

struct fake_server {
    int listener;
    int fd;      /* -1: no connection */
    int waiting; /* -1: none waits while another is served */
    uint16_t port;
    pthread_t thread;
    bool started;
    const struct fake_server_step *steps;
    size_t count;
    atomic_size_t done;
    char heard[HEARD_SIZE]; /* not yet taken by a step */
    size_t heard_len;
};

struct fake_server *fake_server_new(void)
{
    struct fake_server *server = calloc(1, sizeof *server);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    ck_assert_ptr_nonnull(server);
    server->fd = server->waiting = -1;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&at, &size), 0);
    server->port = ntohs(at.sin_port);
    return server;
}

uint16_t fake_server_port(const struct fake_server *server)
{
    return server->port;
}

static void limit_patience(int fd)
{
    const struct timeval patience = {PATIENCE_S, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static bool hear(struct fake_server *server)
{
    ssize_t n = recv(server->fd, server->heard + server->heard_len,
                     sizeof server->heard - server->heard_len, 0);
    if (n <= 0)
        return false;
    server->heard_len += (size_t)n;
    return true;
}

static void take(struct fake_server *server, size_t len)
{
    server->heard_len -= len;
    memmove(server->heard, server->heard + len, server->heard_len);
}

static bool expect(struct fake_server *server, const struct fake_server_step *step)
{
    while (server->heard_len < step->len)
        if (!hear(server))
            return false;
    if (memcmp(server->heard, step->bytes, step->len) != 0)
        return false;
    take(server, step->len);
    return true;
}

static bool until(struct fake_server *server, const struct fake_server_step *step)
{
    for (;;) {
        const char *found = memmem(server->heard, server->heard_len, step->bytes, step->len);
        if (found != NULL) {
            take(server, (size_t)(found - server->heard) + step->len);
            return true;
        }
        if (!hear(server))
            return false;
    }
}

static bool hang_up(struct fake_server *server, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(server->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(server->fd);
    server->fd = -1;
    return true;
}

static bool answer_call(struct fake_server *server)
{
    server->fd = accept(server->listener, NULL, NULL);
    server->heard_len = 0;
    if (server->fd < 0)
        return false;
    limit_patience(server->fd);
    return true;
}

static bool set_aside(struct fake_server *server)
{
    server->waiting = server->fd;
    return answer_call(server);
}

static bool go_back(struct fake_server *server)
{
    server->fd = server->waiting;
    server->waiting = -1;
    server->heard_len = 0;
    return server->fd >= 0;
}

static bool hold(struct fake_server *server)
{
    char byte[256];
    while (recv(server->fd, byte, sizeof byte, 0) > 0)
        ;
    return hang_up(server, false);
}

static bool follow(struct fake_server *server, const struct fake_server_step *step)
{
    switch (step->verb) {
    case FAKE_SERVER_ACCEPT:
        return answer_call(server);
    case FAKE_SERVER_EXPECT:
        return expect(server, step);
    case FAKE_SERVER_UNTIL:
        return until(server, step);
    case FAKE_SERVER_SAY:
        return send(server->fd, step->bytes, step->len, MSG_NOSIGNAL) == (ssize_t)step->len;
    case FAKE_SERVER_CLOSE:
    case FAKE_SERVER_RESET:
        return hang_up(server, step->verb == FAKE_SERVER_RESET);
    case FAKE_SERVER_HOLD:
        return hold(server);
    case FAKE_SERVER_ALSO:
        return set_aside(server);
    case FAKE_SERVER_BACK:
        return go_back(server);
    }
    return false;
}

static void *run(void *arg)
{
    struct fake_server *server = arg;
    while (server->done < server->count && follow(server, &server->steps[server->done]))
        server->done++;
    return NULL;
}

void fake_server_start(struct fake_server *server, const struct fake_server_step *steps,
                       size_t count)
{
    server->steps = steps;
    server->count = count;
    server->started = true;
    limit_patience(server->listener);
    ck_assert_int_eq(listen(server->listener, 8), 0);
    ck_assert_int_eq(pthread_create(&server->thread, NULL, run, server), 0);
}

size_t fake_server_done(const struct fake_server *server)
{
    return atomic_load(&server->done);
}

void fake_server_end(struct fake_server *server)
{
    if (server->started)
        ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
    ck_assert_msg(server->done == server->count,
                  "the client did not follow step %zu of %zu; heard: %.*s", server->done + 1,
                  server->count, (int)server->heard_len, server->heard);
    if (server->fd >= 0)
        (void)close(server->fd);
    if (server->waiting >= 0)
        (void)close(server->waiting);
    (void)close(server->listener);
    free(server);
}
