#include "producer/port/shared_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http_listen.h"
#include "producer/port/neighbours.h"

#define TICK_MS 100
#define HEARD_MS 400      /* so long another one's word counts */
#define HOLD_MS 200       /* for connections on their way, over the longest round trips */
#define LOG_EACH_MS 10000 /* between lines about a port that cannot be listened on */
#define ADDRESS_SIZE 64

enum phase {
    PHASE_AWAY, /* bound, and not listening: it has not begun, or another one takes the orders */
    PHASE_LISTENING,
    PHASE_LEAVING, /* listening, but those who come now are for another one */
    PHASE_DRAINING,
};
static const char *const phase_names[] = {"away", "listening", "leaving", "draining"};

struct shared_port {
    struct loop *loop;
    struct shared_port_options options;
    struct neighbours *neighbours; /* NULL: none can be asked, so it never leaves */
    struct loop_timer *tick;
    enum phase phase;
    uint64_t since_ms;         /* of the phase */
    struct http_server *now;   /* LISTENING, LEAVING, and DRAINING unless it was away */
    struct http_server *stale; /* has left the port, and answers what it took */
    int bound;                 /* AWAY: keeps the port; else -1 */
    bool started;
    uint64_t logged_ms; /* that it cannot listen */
};

static void enter(struct shared_port *p, enum phase phase)
{
    log_debug("shared port", LOG_STR("from", phase_names[p->phase]),
              LOG_STR("to", phase_names[phase]));
    p->phase = phase;
    p->since_ms = clock_mono_ms();
    metric_set(p->options.listening, phase == PHASE_LISTENING);
}

static bool takes(const struct shared_port *p)
{
    return p->options.takes(p->options.arg);
}

/* For the others. */
static bool takes_here(void *arg)
{
    const struct shared_port *p = arg;
    return p->phase == PHASE_LISTENING && takes(p);
}

static bool another_takes(const struct shared_port *p, uint64_t now_ms)
{
    uint64_t heard_ms = neighbours_heard_ms(p->neighbours);
    return heard_ms > 0 && now_ms < heard_ms + HEARD_MS;
}

static void has_started(struct shared_port *p)
{
    if (p->started)
        return;
    p->started = true;
    p->options.started(p->options.arg);
}

/* ---- coming and leaving ---- */

static void come(struct shared_port *p)
{
    struct http_options http = p->options.http;
    http.bound = p->bound;
    errno = 0;
    int code = http_server_open(p->loop, &http, p->options.handler, p->options.arg, &p->now);
    if (code != ERR_UNAVAILABLE)
        p->bound = -1; /* the server's, or closed */
    if (code == 0) {
        enter(p, PHASE_LISTENING);
        log_info("serving", LOG_STR("address", http.host), LOG_INT("port", http.port));
        has_started(p);
        return;
    }
    uint16_t port;
    if (p->bound < 0 && http_bind(http.host, http.port, http.reuse_port, &p->bound, &port) < 0)
        p->bound = -1; /* tried again in the next tick */
    if (!log_due(&p->logged_ms, LOG_EACH_MS))
        return;
    log_error("cannot listen", LOG_STR("address", http.host), LOG_INT("port", http.port),
              LOG_STR("reason", errno != 0 ? strerror(errno) : err_text(code)));
}

static void begin_to_leave(struct shared_port *p)
{
    if (http_server_hold(p->now, true) < 0)
        log_debug("leaving the port: a connection that arrives now may be reset");
    enter(p, PHASE_LEAVING);
}

static void stay(struct shared_port *p)
{
    if (http_server_hold(p->now, false) < 0)
        log_debug("the port was not held");
    enter(p, PHASE_LISTENING);
}

static void leave(struct shared_port *p)
{
    const struct http_options *http = &p->options.http;
    uint16_t port;
    if (http_bind(http->host, http->port, http->reuse_port, &p->bound, &port) < 0) {
        p->bound = -1;
        stay(p);
        return;
    }
    http_server_drain(p->now);
    p->stale = p->now;
    p->now = NULL;
    enter(p, PHASE_AWAY);
    log_warning("left the shared port: another process on it takes the orders",
                LOG_INT("port", http->port));
}

static void free_stale(struct shared_port *p)
{
    if (p->stale == NULL || http_server_connections(p->stale) > 0)
        return;
    http_server_close(p->stale);
    p->stale = NULL;
}

static void while_away(struct shared_port *p, bool fine, uint64_t now_ms)
{
    bool late = p->started || now_ms >= p->options.listen_by_ms;
    if (fine || (late && !another_takes(p, now_ms))) {
        come(p);
    } else if (late && !p->started) {
        log_warning("not on the shared port yet: another process on it takes the orders",
                    LOG_INT("port", p->options.http.port));
        has_started(p);
    }
}

static void on_tick(void *arg)
{
    struct shared_port *p = arg;
    uint64_t now_ms = clock_mono_ms();
    bool fine = takes(p);
    bool go = !fine && another_takes(p, now_ms);
    free_stale(p);
    switch (p->phase) {
    case PHASE_AWAY:
        while_away(p, fine, now_ms);
        break;
    case PHASE_LISTENING:
        if (go && p->stale == NULL)
            begin_to_leave(p);
        break;
    case PHASE_LEAVING:
        if (!go ||
            (now_ms >= p->since_ms + HOLD_MS && neighbours_heard_ms(p->neighbours) < p->since_ms))
            stay(p);
        else if (now_ms >= p->since_ms + HOLD_MS)
            leave(p);
        break;
    case PHASE_DRAINING:
        return;
    }
    if (!fine)
        neighbours_ask(p->neighbours);
}

/* ---- */

int shared_port_open(struct loop *loop, const struct shared_port_options *options,
                     struct shared_port **ret_port)
{
    struct shared_port *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    *p = (struct shared_port){.loop = loop, .options = *options, .bound = -1};
    struct http_options *http = &p->options.http;
    int code = http_bind(http->host, http->port, http->reuse_port, &p->bound, &http->port);
    int error = errno;
    if (code == 0) {
        char address[ADDRESS_SIZE];
        (void)snprintf(address, sizeof address, "%s:%u", http->host, http->port);
        p->neighbours = neighbours_new(loop, address, takes_here, p);
        p->tick = loop_timer_new(loop, on_tick, p);
        code = p->tick == NULL ? ERR_NOMEM : 0;
    }
    if (code < 0) {
        shared_port_close(p);
        errno = error;
        return code;
    }
    loop_timer_start(p->tick, 0, TICK_MS);
    *ret_port = p;
    return 0;
}

void shared_port_close(struct shared_port *port)
{
    if (port == NULL)
        return;
    loop_timer_free(port->tick);
    neighbours_free(port->neighbours);
    http_server_close(port->now);
    http_server_close(port->stale);
    if (port->bound >= 0)
        (void)close(port->bound);
    free(port);
}

bool shared_port_listens(const struct shared_port *port)
{
    return port->phase == PHASE_LISTENING;
}

void shared_port_drain(struct shared_port *port)
{
    enter(port, PHASE_DRAINING);
    if (port->now != NULL)
        http_server_drain(port->now);
    if (port->bound >= 0)
        (void)close(port->bound);
    port->bound = -1;
}

size_t shared_port_pending(const struct shared_port *port)
{
    return (port->now == NULL ? 0 : http_server_pending(port->now)) +
           (port->stale == NULL ? 0 : http_server_pending(port->stale));
}

size_t shared_port_connections(const struct shared_port *port)
{
    return (port->now == NULL ? 0 : http_server_connections(port->now)) +
           (port->stale == NULL ? 0 : http_server_connections(port->stale));
}
