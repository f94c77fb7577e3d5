#include "common/net/http/http_impl.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/clock.h"

#define BODY_KEPT 4096   /* memory for a body that an idle connection keeps, at most */
#define FIELDS_KEPT 4096 /* and for its headers */
#define CROWDED_IDLE_MS                                                                            \
    5000 /* the longest idle time when nearly all are taken, or while it drains */

/* ---- a connection's life ---- */

static struct request_list *list_of(struct http_request *r)
{
    return r->state == REQUEST_OPEN ? &r->server->open : &r->server->waiting;
}

void http_request_enter(struct http_request *r, enum request_state state)
{
    struct http_server *s = r->server;
    TAILQ_REMOVE(list_of(r), r, link);
    s->open_count -= r->state == REQUEST_OPEN;
    r->state = state;
    r->since_ms = s->now_ms;
    r->looked = false;
    TAILQ_INSERT_TAIL(list_of(r), r, link);
    s->open_count += state == REQUEST_OPEN;
}

struct http_request *http_request_new(struct http_server *s, struct MHD_Connection *mhd, int fd)
{
    struct http_request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->server = s;
    r->mhd = mhd;
    r->fd = fd;
    r->since_ms = s->now_ms;
    if (!http_hangup_watch(r)) {
        free(r);
        return NULL;
    }
    buf_init(&r->fields, HTTP_FIELDS_MAX);
    buf_init(&r->body, s->body_max);
    TAILQ_INSERT_TAIL(&s->waiting, r, link);
    s->connection_count++;
    return r;
}

static void forget_body(struct http_request *r)
{
    r->server->long_bodies -= r->long_body;
    r->long_body = false;
    buf_free(&r->body);
}

void http_request_free(struct http_request *r)
{
    struct http_server *s = r->server;
    TAILQ_REMOVE(list_of(r), r, link);
    s->open_count -= r->state == REQUEST_OPEN;
    s->connection_count--;
    buf_free(&r->fields);
    forget_body(r);
    free(r);
}

void http_request_reset(struct http_request *r)
{
    r->suspended = false;
    r->refused = false;
    r->early = false;
    r->too_large = false;
    r->received = 0;
    r->id[0] = '\0';
    if (r->body.cap > BODY_KEPT)
        forget_body(r);
    buf_reset(&r->body);
    if (r->fields.cap > FIELDS_KEPT)
        buf_free(&r->fields);
    buf_reset(&r->fields);
    http_request_enter(r, REQUEST_IDLE);
}

/* ---- its body ---- */

void http_request_limit_body(struct http_request *r)
{
    const struct http_server *s = r->server;
    r->body.max = s->body_limit == NULL ? s->body_max : s->body_limit(r, s->arg);
}

bool http_request_add_body(struct http_request *r, const char *data, size_t len)
{
    struct http_server *s = r->server;
    size_t all = r->body.len + len;
    r->received += len;
    if (r->too_large)
        return true;
    if (!r->long_body && all > HTTP_LONG_BODY && all <= r->body.max) {
        if (s->long_bodies == HTTP_LONG_BODIES_MAX)
            return false;
        r->long_body = true;
        s->long_bodies++;
    }
    if (buf_append(&r->body, data, len) < 0)
        r->too_large = true;
    return true;
}

/* ---- what a handler asks ---- */

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_body(const struct http_request *request, size_t *ret_len)
{
    *ret_len = request->body.len;
    return buf_text(&request->body);
}

bool http_request_body_too_large(const struct http_request *request)
{
    return request->too_large;
}

/* ---- connections that wait for too long ---- */

/* The library uses epoll's edges, and can miss the end of a client if it arrives together with the
 * last bytes: check once whether a quiet connection has ended. */
static void look_for_end(struct http_request *r)
{
    char byte;
    if (r->looked || r->state != REQUEST_IDLE)
        return;
    r->looked = true;
    if (recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        (void)shutdown(r->fd, SHUT_RDWR); /* makes an edge */
}

/* A client has this long from its last answer for its whole next request, however slowly it
 * arrives. */
static uint64_t idle_limit(const struct http_server *s)
{
    bool crowded = s->connection_count >= (size_t)s->connections_max / 8 * 7 || s->draining;
    return crowded && s->idle_ms > CROWDED_IDLE_MS ? CROWDED_IDLE_MS : s->idle_ms;
}

void http_requests_sweep(struct http_server *s)
{
    s->now_ms = clock_mono_ms();
    uint64_t limit_ms = idle_limit(s);
    struct http_request *r;
    while ((r = TAILQ_FIRST(&s->waiting)) != NULL && r->since_ms + limit_ms <= s->now_ms) {
        (void)shutdown(r->fd, SHUT_RDWR); /* the library notices its end, or has already */
        http_request_enter(r, r->state);  /* to the tail */
    }
    TAILQ_FOREACH(r, &s->waiting, link)
    {
        if (r->since_ms + HTTP_SWEEP_MS > s->now_ms)
            break;
        look_for_end(r);
    }
}
