#include "common/net/http/http.h"

#include <assert.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http_head.h"
#include "common/net/http/http_listen.h"

/* Memory of one connection for its request's head and its answer's: a token of 4 KiB fits. The
 * library clears all of it for each request, so more costs time as well. */
#define CONNECTION_MEMORY ((size_t)12 * 1024)
/* A body over the limit is read to its end up to here, so that the client reads our answer and not
 * a reset; what is longer is answered at once, or cut off if its length was not told. */
#define DISCARD_MAX ((uint64_t)64 * 1024)
#define BODY_KEPT 4096 /* memory for a body that an idle connection keeps, at most */
#define SWEEP_MS 1000
#define CROWDED_IDLE_MS 5000 /* the longest idle time when nearly all connections are taken */

enum request_state {
    REQUEST_IDLE,     /* no request, or one that is still arriving */
    REQUEST_OPEN,     /* with the handler */
    REQUEST_ANSWERED, /* until the answer is sent */
    REQUEST_UPGRADED,
};

struct http_upgraded {
    struct http_server *server;
    struct MHD_UpgradeResponseHandle *handle;
};

TAILQ_HEAD(request_list, http_request);

/* A connection and the one request that it can have at a time; lives as long as the connection. */
struct http_request {
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    enum request_state state;
    bool suspended;
    bool aborted;      /* by http_abort */
    bool refused;      /* by the server itself */
    uint64_t since_ms; /* connected, or answered last */
    bool looked;       /* whether the client has ended, since then */
    TAILQ_ENTRY(http_request) link;

    const char *method;
    const char *path;
    struct buf body;
    uint64_t received; /* bytes of the body, the cut ones included */
    bool too_large;

    struct MHD_Response *response; /* until it is queued */
    unsigned status;
    http_upgraded_cb upgrade_cb; /* until it was called */
    void *upgrade_arg;
    struct http_upgraded upgraded;
};

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    http_handler handler;
    void *arg;
    http_refuser refuse;
    size_t body_max;
    uint64_t idle_ms;
    size_t connections_max;
    uint16_t port;
    int listen_fd; /* -1 once draining */
    bool full;     /* at its limit of connections after the last run */
    bool draining;
    bool running; /* inside MHD_run */

    struct loop_watch *watch;
    struct loop_timer *soon;  /* runs the library in the next turn */
    struct loop_timer *sweep; /* ends connections that are idle for too long */
    uint64_t now_ms;          /* of this run */

    /* Each connection is in one of them; `waiting` is in order of since_ms. */
    struct request_list waiting;
    struct request_list open;
    struct request_list upgraded;
    size_t open_count;
    size_t upgraded_count;
    size_t connection_count;
};

/* ---- a connection's life ---- */

static struct request_list *list_of(struct http_request *r)
{
    if (r->state == REQUEST_OPEN)
        return &r->server->open;
    return r->state == REQUEST_UPGRADED ? &r->server->upgraded : &r->server->waiting;
}

static void enter_state(struct http_request *r, enum request_state state)
{
    struct http_server *s = r->server;
    TAILQ_REMOVE(list_of(r), r, link);
    s->open_count -= r->state == REQUEST_OPEN;
    s->upgraded_count -= r->state == REQUEST_UPGRADED;
    r->state = state;
    r->since_ms = s->now_ms;
    r->looked = false;
    TAILQ_INSERT_TAIL(list_of(r), r, link);
    s->open_count += state == REQUEST_OPEN;
    s->upgraded_count += state == REQUEST_UPGRADED;
}

static void connected(struct http_server *s, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return; /* on_request finds no context and ends the connection */
    r->server = s;
    r->mhd = mhd;
    r->fd = info == NULL ? -1 : info->connect_fd;
    r->since_ms = s->now_ms;
    buf_init(&r->body, s->body_max);
    TAILQ_INSERT_TAIL(&s->waiting, r, link);
    s->connection_count++;
    *context = r;
}

static void disconnected(struct http_request *r)
{
    struct http_server *s = r->server;
    TAILQ_REMOVE(list_of(r), r, link);
    s->open_count -= r->state == REQUEST_OPEN;
    s->upgraded_count -= r->state == REQUEST_UPGRADED;
    s->connection_count--;
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    buf_free(&r->body);
    free(r);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connected(cls, mhd, context);
    else if (*context != NULL)
        disconnected(*context);
}

/* The answer was sent, or the connection ended before. */
static void on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)mhd;
    (void)code;
    struct http_request *r = *request;
    if (r == NULL)
        return;
    if (r->upgrade_cb != NULL) {
        http_upgraded_cb cb = r->upgrade_cb;
        r->upgrade_cb = NULL;
        cb(NULL, -1, NULL, 0, r->upgrade_arg);
    }
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    r->response = NULL;
    r->suspended = false;
    r->refused = false;
    r->too_large = false;
    r->received = 0;
    if (r->body.cap > BODY_KEPT)
        buf_free(&r->body);
    buf_reset(&r->body);
    enter_state(r, REQUEST_IDLE);
}

/* ---- a request's way in ---- */

static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    http_head_add(cls, name, name_len, value, value_len);
    return MHD_YES;
}

/* Its connection ends behind the answer, whoever words it. */
static void refuse(struct http_request *r, unsigned status, const char *detail)
{
    r->refused = true;
    if (r->server->refuse != NULL)
        r->server->refuse(r, status, detail);
    else
        http_respond(r, &(struct http_response){.status = status,
                                                .content_type = "text/plain",
                                                .body = detail,
                                                .body_len = strlen(detail)});
}

static enum MHD_Result queue_answer(struct http_request *r)
{
    struct MHD_Response *response = r->response;
    if (r->aborted)
        return MHD_NO;
    if (response == NULL) {
        log_error("no memory for an answer");
        return MHD_NO; /* the connection is closed */
    }
    r->response = NULL;
    enum MHD_Result result = MHD_queue_response(r->mhd, r->status, response);
    MHD_destroy_response(response); /* our reference only */
    return result;
}

/* Hands the request to the handler; queues its answer, or suspends the connection until there is
 * one. */
static enum MHD_Result ask(struct http_request *r, const char *refusal)
{
    struct http_server *s = r->server;
    enter_state(r, REQUEST_OPEN);
    if (refusal != NULL)
        refuse(r, 400, refusal);
    else
        s->handler(r, s->arg);
    if (r->state != REQUEST_OPEN)
        return queue_answer(r);
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

static enum MHD_Result begin(struct http_request *r, const char *method, const char *path,
                             const char *version)
{
    r->method = method;
    r->path = path;
    struct http_head head = {0};
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, look_at_header, &head);
    const char *refusal = http_head_ambiguity(&head, version);
    if (refusal != NULL)
        return ask(r, refusal); /* an answer at this point also closes the connection */
    r->too_large = head.length > r->server->body_max;
    return head.length > r->server->body_max + DISCARD_MAX ? ask(r, NULL) : MHD_YES;
}

static enum MHD_Result receive(struct http_request *r, const char *data, size_t *size)
{
    r->received += *size;
    if (!r->too_large && buf_append(&r->body, data, *size) < 0)
        r->too_large = true;
    *size = 0;
    return r->received > r->server->body_max + DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* The library's callback: once with the head, then with pieces of the body, then at the end and
 * again after a resume. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request)
{
    (void)cls;
    struct http_request *r = *request;
    if (r == NULL) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        if (info == NULL || info->socket_context == NULL)
            return MHD_NO;
        r = info->socket_context;
        *request = r;
        return begin(r, method, url, version);
    }
    if (*size > 0)
        return receive(r, data, size);
    if (r->state == REQUEST_IDLE)
        return ask(r, NULL);
    return r->state == REQUEST_ANSWERED ? queue_answer(r) : MHD_YES;
}

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

struct counted {
    const char *name;
    size_t count;
};

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    (void)value;
    struct counted *counted = cls;
    counted->count += strcasecmp(name, counted->name) == 0;
    return MHD_YES;
}

size_t http_request_header_count(const struct http_request *request, const char *name)
{
    struct counted counted = {.name = name};
    (void)MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, count_header, &counted);
    return counted.count;
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

/* ---- a request's way out ---- */

/* Lets the library go on with a request that has its answer now. */
static void go_on(struct http_request *r)
{
    enter_state(r, REQUEST_ANSWERED);
    if (!r->suspended)
        return; /* it is inside its handler */
    r->suspended = false;
    MHD_resume_connection(r->mhd);
    if (!r->server->running && !loop_timer_active(r->server->soon))
        loop_timer_start(r->server->soon, 0, 0);
}

static bool add_headers(struct MHD_Response *response, const struct http_header *headers,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (MHD_add_response_header(response, headers[i].name, headers[i].value) == MHD_NO)
            return false;
    return true;
}

void http_respond(struct http_request *request, const struct http_response *response)
{
    assert(request->state == REQUEST_OPEN);
    /* The cast: the library copies, but takes a pointer to what it might free. */
    struct MHD_Response *made = MHD_create_response_from_buffer(
        response->body_len, (void *)(uintptr_t)response->body, MHD_RESPMEM_MUST_COPY);
    bool close = response->close || request->refused || request->server->draining;
    if (made != NULL &&
        (!add_headers(made, response->headers, response->header_count) ||
         (response->content_type != NULL &&
          MHD_add_response_header(made, "Content-Type", response->content_type) == MHD_NO) ||
         (close && MHD_add_response_header(made, "Connection", "close") == MHD_NO))) {
        MHD_destroy_response(made);
        made = NULL;
    }
    request->response = made;
    request->status = response->status;
    go_on(request);
}

void http_abort(struct http_request *request, const char *raw, size_t len)
{
    assert(request->state == REQUEST_OPEN);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (len == 0)
        (void)setsockopt(request->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else if (send(request->fd, raw, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("an aborted connection took no bytes");
    request->aborted = true;
    go_on(request);
}

static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *request, const char *extra,
                        size_t extra_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    (void)mhd;
    (void)request;
    struct http_request *r = cls;
    enter_state(r, REQUEST_UPGRADED);
    r->upgraded = (struct http_upgraded){r->server, handle};
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* it is already, by this version */
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    http_upgraded_cb cb = r->upgrade_cb;
    r->upgrade_cb = NULL;
    cb(&r->upgraded, fd, extra, extra_len, r->upgrade_arg);
}

void http_upgrade(struct http_request *request, const struct http_header *headers,
                  size_t header_count, http_upgraded_cb cb, void *arg)
{
    assert(request->state == REQUEST_OPEN);
    request->upgrade_cb = cb;
    request->upgrade_arg = arg;
    struct MHD_Response *made = MHD_create_response_for_upgrade(on_upgraded, request);
    if (made != NULL && !add_headers(made, headers, header_count)) {
        MHD_destroy_response(made);
        made = NULL;
    }
    request->response = made;
    request->status = MHD_HTTP_SWITCHING_PROTOCOLS;
    go_on(request);
}

void http_upgraded_close(struct http_upgraded *upgraded)
{
    struct http_server *s = upgraded->server;
    (void)MHD_upgrade_action(upgraded->handle, MHD_UPGRADE_ACTION_CLOSE);
    if (!s->running && !loop_timer_active(s->soon))
        loop_timer_start(s->soon, 0, 0);
}

/* ---- the server ---- */

static void run(struct http_server *s)
{
    s->running = true;
    s->now_ms = clock_mono_ms();
    (void)MHD_run(s->daemon); /* fails only when it was stopped */
    s->running = false;
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    bool more = MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES && wait_ms == 0;
    /* The library stops listening when it is full, and listens again only in a later run. */
    bool full = s->connection_count >= s->connections_max;
    if (more || (s->full && !full))
        loop_timer_start(s->soon, 0, 0);
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

/* The library asks epoll for edges, and can miss the end of a client that came together with its
 * last bytes: look once whether a quiet connection has ended. */
static void look_for_end(struct http_request *r)
{
    char byte;
    if (r->looked || r->state != REQUEST_IDLE)
        return;
    r->looked = true;
    if (recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        (void)shutdown(r->fd, SHUT_RDWR); /* makes an edge */
}

/* A client has this long from its last answer for its whole next request, however it drips in. */
static uint64_t idle_limit(const struct http_server *s)
{
    bool crowded = s->connection_count >= s->connections_max / 8 * 7;
    return crowded && s->idle_ms > CROWDED_IDLE_MS ? CROWDED_IDLE_MS : s->idle_ms;
}

static void on_sweep(void *arg)
{
    struct http_server *s = arg;
    s->now_ms = clock_mono_ms();
    uint64_t limit_ms = idle_limit(s);
    struct http_request *r;
    while ((r = TAILQ_FIRST(&s->waiting)) != NULL && r->since_ms + limit_ms <= s->now_ms) {
        (void)shutdown(r->fd, SHUT_RDWR); /* the library sees the end of it, or has already */
        enter_state(r, r->state);         /* to the tail */
    }
    TAILQ_FOREACH(r, &s->waiting, link)
    {
        if (r->since_ms + SWEEP_MS > s->now_ms)
            break;
        look_for_end(r);
    }
    run(s); /* it also stops listening when the process is out of descriptors */
}

static size_t unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return http_unescape(text);
}

static struct MHD_Daemon *start(struct http_server *s, const struct http_options *options,
                                bool ipv6)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL}, {0}, {MHD_OPTION_END, 0, NULL}};
    if (ipv6)
        flags |= MHD_USE_IPv6;
    if (options->tls_certificate != NULL) {
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                         (void *)(uintptr_t)options->tls_certificate};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0,
                                         (void *)(uintptr_t)options->tls_key};
    }
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, options->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, s, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

int http_server_open(struct loop *loop, const struct http_options *options, http_handler handler,
                     void *arg, struct http_server **ret_server)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->loop = loop;
    s->handler = handler;
    s->arg = arg;
    s->refuse = options->refuse;
    s->body_max = options->body_max;
    s->idle_ms = (uint64_t)options->idle_timeout_s * 1000;
    s->connections_max = options->connections_max;
    s->now_ms = clock_mono_ms();
    TAILQ_INIT(&s->waiting);
    TAILQ_INIT(&s->open);
    TAILQ_INIT(&s->upgraded);
    bool ipv6 = false;
    int code = http_listen(options, &s->listen_fd, &s->port, &ipv6);
    if (code < 0) {
        free(s);
        return code;
    }
    s->daemon = start(s, options, ipv6);
    const union MHD_DaemonInfo *info =
        s->daemon == NULL ? NULL : MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info != NULL)
        s->watch = loop_watch_new(loop, info->epoll_fd, on_readable, s);
    s->soon = loop_timer_new(loop, on_soon, s);
    s->sweep = loop_timer_new(loop, on_sweep, s);
    if (s->watch == NULL || s->soon == NULL || s->sweep == NULL) {
        http_server_close(s);
        return ERR_NOMEM;
    }
    loop_watch_set(s->watch, LOOP_READ);
    loop_timer_start(s->sweep, SWEEP_MS, SWEEP_MS);
    loop_timer_start(s->soon, 0, 0); /* the first run puts the socket into the epoll set */
    *ret_server = s;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_drain(struct http_server *server)
{
    if (server->draining)
        return;
    /* Who is in the listen queue already would be reset: take them in. */
    struct pollfd queue = {.fd = server->listen_fd, .events = POLLIN};
    for (int i = 0; i < HTTP_LISTEN_BACKLOG && poll(&queue, 1, 0) == 1; i++)
        run(server);
    server->draining = true;
    (void)MHD_quiesce_daemon(server->daemon);
    (void)close(server->listen_fd);
    server->listen_fd = -1;
    run(server);
}

size_t http_server_pending(const struct http_server *server)
{
    return server->open_count;
}

size_t http_server_connections(const struct http_server *server)
{
    return server->connection_count - server->upgraded_count;
}

static void stop(struct http_server *s)
{
    s->draining = true;
    struct http_request *r;
    while ((r = TAILQ_FIRST(&s->open)) != NULL)
        refuse(r, 503, "this server is leaving: try again");
    while ((r = TAILQ_FIRST(&s->upgraded)) != NULL) {
        http_upgraded_close(&r->upgraded);
        enter_state(r, REQUEST_ANSWERED);
    }
    run(s); /* sends what was answered in this turn */
    MHD_stop_daemon(s->daemon);
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
    loop_timer_free(server->soon);
    loop_timer_free(server->sweep);
    free(server);
}
