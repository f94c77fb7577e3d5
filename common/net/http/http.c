#include "common/net/http/http_impl.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/http/http_listen.h"

static void run(struct http_server *s)
{
    bool more = http_mhd_run(s);
    /* The library stops listening when it is full, and starts again only in a later run. */
    bool full = s->connection_count >= s->connections_max;
    if (more || (s->full && !full))
        loop_defer(s->soon);
    s->full = full;
}

static void on_readable(int events, void *arg)
{
    (void)events;
    run(arg);
}

static void on_soon(void *arg)
{
    run(arg);
}

static void on_sweep(void *arg)
{
    http_requests_sweep(arg);
    run(arg); /* it also stops listening when the process is out of descriptors */
}

/* Where the limit of descriptors does not allow all, upgraded connections get half at least. */
static int listen_within(struct http_server *s, const struct http_options *options, int fd,
                         bool *ret_ipv6)
{
    unsigned wanted = options->connections_max + options->upgraded_max;
    unsigned most = wanted;
    int code = http_listen(fd, &most, &s->port, ret_ipv6);
    unsigned half = options->upgraded_max == 0 || most == wanted ? most : most / 2;
    s->connections_max = half < options->connections_max ? half : options->connections_max;
    s->upgraded_max = most - s->connections_max;
    if (s->upgraded_max > options->upgraded_max)
        s->upgraded_max = options->upgraded_max;
    return code;
}

static int begin(struct http_server *s, const struct http_options *options)
{
    bool ipv6 = false;
    int fd = options->bound;
    int code =
        fd > 0 ? 0 : http_bind(options->host, options->port, options->reuse_port, &fd, &s->port);
    if (code == 0)
        code = listen_within(s, options, fd, &ipv6);
    if (code < 0) {
        if (fd > 0 && fd != options->bound)
            (void)close(fd);
        return code;
    }
    int epoll_fd = -1;
    s->listen_fd = fd;
    if (http_mhd_start(s, options, ipv6, &epoll_fd) == 0)
        s->watch = loop_watch_new(s->loop, epoll_fd, on_readable, s);
    return s->watch == NULL ? ERR_NOMEM : 0;
}

int http_server_open(struct loop *loop, const struct http_options *options, http_handler handler,
                     void *arg, struct http_server **ret_server)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->loop = loop;
    s->listen_fd = -1;
    s->hangup_fd = -1;
    s->handler = handler;
    s->arg = arg;
    s->refuse = options->refuse;
    s->body_max = options->body_max;
    s->body_limit = options->body_limit;
    s->idle_ms = (uint64_t)options->idle_timeout_s * 1000;
    s->now_ms = clock_mono_ms();
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->open);
    s->soon = loop_deferred_new(loop, on_soon, s);
    s->sweep = loop_timer_new(loop, on_sweep, s);
    int code = s->soon == NULL || s->sweep == NULL ? ERR_NOMEM : http_hangups_open(s);
    if (code == 0)
        code = begin(s, options);
    if (code < 0) {
        int error = errno;
        http_server_close(s);
        errno = error;
        return code;
    }
    loop_watch_set(s->watch, LOOP_READ);
    loop_timer_start(s->sweep, HTTP_SWEEP_MS, HTTP_SWEEP_MS);
    loop_defer(s->soon); /* the first run puts the socket into the epoll set */
    *ret_server = s;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

int http_server_hold(struct http_server *server, bool hold)
{
    return server->listen_fd < 0 ? ERR_UNAVAILABLE : http_listen_hold(server->listen_fd, hold);
}

void http_server_drain(struct http_server *server)
{
    if (server->draining)
        return;
    /* Accept the clients in the listen queue: otherwise they get a reset. */
    struct pollfd queue = {.fd = server->listen_fd, .events = POLLIN};
    for (int i = 0; i < HTTP_LISTEN_BACKLOG && poll(&queue, 1, 0) == 1; i++)
        run(server);
    server->draining = true;
    http_mhd_quiesce(server);
    (void)close(server->listen_fd);
    server->listen_fd = -1;
    run(server);
}

size_t http_server_pending(const struct http_server *server)
{
    return server->open_count;
}

unsigned http_server_upgraded_max(const struct http_server *server)
{
    return server->upgraded_max;
}

size_t http_server_connections(const struct http_server *server)
{
    return server->connection_count;
}

static void stop(struct http_server *s)
{
    s->draining = true;
    struct http_request *r;
    while ((r = TAILQ_FIRST(&s->open)) != NULL)
        http_request_refuse(r, 503, "this server is leaving: try again");
    run(s); /* sends the answers of this turn */
    http_mhd_stop(s);
}

void http_server_close(struct http_server *server)
{
    if (server == NULL)
        return;
    assert(!server->running);
    if (server->daemon != NULL)
        stop(server);
    else if (server->listen_fd >= 0)
        (void)close(server->listen_fd);
    loop_watch_free(server->watch);
    loop_deferred_free(server->soon);
    loop_timer_free(server->sweep);
    http_hangups_close(server);
    free(server);
}
