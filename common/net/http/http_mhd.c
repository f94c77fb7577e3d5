#include "common/net/http/http_impl.h"

#include <assert.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/http_head.h"

/* From 0.9.77 on the library itself answers a request without Host, in HTML. To refuse it in the
 * words of our API, each request begins with a Host of our own, which we know by its address. The
 * library still answers one thing itself: a Transfer-Encoding other than chunked. */
static const char no_host[] = "";

/* Memory of one connection for its request's head and its answer's: a head of HTTP_HEAD_MAX fits,
 * and one that is somewhat larger comes to us, for an answer in our words. The library clears all
 * of it for each request, so more costs time too. */
#define CONNECTION_MEMORY ((size_t)40 * 1024)
/* It reads a body over the limit to its end up to this size, and so keeps the connection. To a
 * longer one it answers at once, in place of the library, and throws away what still comes, so that
 * the client gets our answer and not a reset. */
#define DISCARD_MAX ((uint64_t)64 * 1024)
#define THROW_AWAY_MAX ((uint64_t)16 * 1024 * 1024)

/* ---- connections ---- */

static void connected(struct http_server *s, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    /* without memory on_request finds no context and ends the connection */
    *context = http_request_new(s, mhd, info == NULL ? -1 : info->connect_fd);
}

static void forget_response(struct http_request *r)
{
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    r->response = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connected(cls, mhd, context);
    } else if (*context != NULL) {
        forget_response(*context);
        http_request_free(*context);
    }
}

/* The answer was sent or the connection ended. */
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
        cb(-1, NULL, 0, r->upgrade_arg);
    }
    forget_response(r);
    http_request_reset(r);
}

/* ---- a request's way in ---- */

struct look {
    struct http_request *request;
    struct http_head head;
};

/* The one pass over the headers. */
static enum MHD_Result look_at_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct look *look = cls;
    if (value == no_host)
        return MHD_YES;
    http_head_add(&look->head, name, name_len, value, value_len);
    http_fields_add(look->request, name, name_len, value);
    return MHD_YES;
}

static enum MHD_Result queue_answer(struct http_request *r)
{
    struct MHD_Response *response = r->response;
    if (r->aborted)
        return MHD_NO;
    if (response == NULL) {
        log_error("answer not sent: out of memory", LOG_STR("request_id", http_request_id(r)));
        return MHD_NO; /* the connection is closed */
    }
    r->response = NULL;
    enum MHD_Result result = MHD_queue_response(r->mhd, r->status, response);
    MHD_destroy_response(response); /* only our reference */
    return result;
}

/* `refusal` NULL: the handler answers. */
static void hand_over(struct http_request *r, unsigned status, const char *refusal)
{
    http_request_enter(r, REQUEST_OPEN);
    if (refusal != NULL)
        http_request_refuse(r, status, refusal);
    else
        r->server->handler(r, r->server->arg);
}

/* Hands the request over; queues its answer, or suspends the connection until there is one. */
static enum MHD_Result ask(struct http_request *r, unsigned status, const char *refusal)
{
    hand_over(r, status, refusal);
    if (r->state != REQUEST_OPEN)
        return queue_answer(r);
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

/* The library can answer only behind the body. */
static void ask_early(struct http_request *r, const char *refusal)
{
    r->too_large = true;
    r->early = true;
    hand_over(r, 503, refusal);
}

static enum MHD_Result begin(struct http_request *r, const char *method, const char *path,
                             const char *version)
{
    r->method = method;
    r->path = http_target_path(path);
    struct look look = {.request = r};
    const struct http_head *head = &look.head;
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, look_at_header, &look);
    const char *refusal = http_head_ambiguity(head, version);
    if (refusal != NULL)
        return ask(r, 400, refusal); /* an answer at this point also closes the connection */
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info != NULL && info->header_size > HTTP_HEAD_MAX)
        return ask(r, 431, "the request line and the headers together have over 16 KiB");
    if (r->fields.failed)
        return MHD_NO; /* out of memory */
    http_request_limit_body(r);
    r->too_large = head->length > r->body.max;
    bool asks = r->too_large && http_request_header(r, "Expect") != NULL; /* whether to send it */
    if (asks || head->length > r->body.max + DISCARD_MAX) {
        if (r->server->tls)
            return ask(r, 0, NULL);
        ask_early(r, NULL);
    }
    return MHD_YES;
}

static enum MHD_Result receive(struct http_request *r, const char *data, size_t *size)
{
    bool room = http_request_add_body(r, data, *size);
    *size = 0;
    if (room && r->received <= r->body.max + DISCARD_MAX)
        return MHD_YES;
    if (r->server->tls || r->received > THROW_AWAY_MAX)
        return MHD_NO;
    if (r->state == REQUEST_IDLE)
        ask_early(r, room ? NULL : "too many long bodies at once: try again");
    return MHD_YES;
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
        return ask(r, 0, NULL);
    return r->state == REQUEST_ANSWERED ? queue_answer(r) : MHD_YES;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

struct arguments {
    http_argument_cb cb;
    void *arg;
};

static enum MHD_Result show_argument(void *cls, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    const struct arguments *arguments = cls;
    (void)kind;
    return arguments->cb(name, value, arguments->arg) ? MHD_YES : MHD_NO;
}

void http_request_arguments(const struct http_request *request, http_argument_cb cb, void *arg)
{
    struct arguments arguments = {cb, arg};
    (void)MHD_get_connection_values(request->mhd, MHD_GET_ARGUMENT_KIND, show_argument, &arguments);
}

int http_request_peer(const struct http_request *request, struct address *ret_peer)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL)
        return ERR_INVALID;
    return address_of_socket(info->client_addr, ret_peer);
}

/* ---- a request's way out ---- */

/* Lets the library go on with a request whose answer is ready. */
static void go_on(struct http_request *r)
{
    http_request_enter(r, REQUEST_ANSWERED);
    if (!r->suspended)
        return; /* it is inside its handler */
    r->suspended = false;
    MHD_resume_connection(r->mhd);
    if (!r->server->running)
        loop_defer(r->server->soon);
}

static bool add_headers(struct MHD_Response *response, struct http_request *request,
                        const struct http_header *headers, size_t count)
{
    if (MHD_add_response_header(response, HTTP_ID_HEADER, http_request_id(request)) == MHD_NO)
        return false;
    for (size_t i = 0; i < count; i++)
        if (MHD_add_response_header(response, headers[i].name, headers[i].value) == MHD_NO)
            return false;
    return true;
}

void http_respond(struct http_request *request, const struct http_response *response)
{
    assert(request->state == REQUEST_OPEN);
    if (http_alone_needed(request)) {
        http_alone_send(request, response, MHD_get_reason_phrase_for(response->status));
        go_on(request);
        return;
    }
    /* The cast: the library copies, but its prototype takes a pointer that it may free. */
    struct MHD_Response *made = MHD_create_response_from_buffer(
        response->body_len, (void *)(uintptr_t)response->body, MHD_RESPMEM_MUST_COPY);
    bool close = response->close || request->refused || request->server->draining;
    if (made != NULL &&
        (!add_headers(made, request, response->headers, response->header_count) ||
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

void http_request_refuse(struct http_request *r, unsigned status, const char *detail)
{
    r->refused = true;
    if (r->server->refuse != NULL)
        r->server->refuse(r, status, detail, r->server->arg);
    else
        http_respond(r, &(struct http_response){.status = status,
                                                .content_type = "text/plain",
                                                .body = detail,
                                                .body_len = strlen(detail)});
}

void http_abort(struct http_request *request, const char *raw, size_t len)
{
    assert(request->state == REQUEST_OPEN);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (len == 0)
        (void)setsockopt(request->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else if (send(request->fd, raw, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("aborted connection took no bytes");
    request->aborted = true;
    go_on(request);
}

/* The library's end of a connection costs 40 KiB, a duplicate of its socket nothing: so the library
 * closes its own at once. */
static void on_upgraded(void *cls, struct MHD_Connection *mhd, void *request, const char *extra,
                        size_t extra_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    (void)mhd;
    (void)request;
    struct http_request *r = cls;
    struct http_server *s = r->server;
    http_upgraded_cb cb = r->upgrade_cb;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int flags = fcntl(fd, F_GETFL);
    int on = 1;
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* this version has done it already */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* it is only slower without */
    http_request_enter(r, REQUEST_ANSWERED);
    http_hangup_unwatch(r);
    r->fd = -1;
    r->upgrade_cb = NULL;
    cb(own, extra, own < 0 ? 0 : extra_len, r->upgrade_arg);
    (void)MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    loop_defer(s->soon);
}

void http_upgrade(struct http_request *request, const struct http_header *headers,
                  size_t header_count, http_upgraded_cb cb, void *arg)
{
    assert(request->state == REQUEST_OPEN);
    request->upgrade_cb = cb;
    request->upgrade_arg = arg;
    struct MHD_Response *made = MHD_create_response_for_upgrade(on_upgraded, request);
    if (made != NULL && !add_headers(made, request, headers, header_count)) {
        MHD_destroy_response(made);
        made = NULL;
    }
    request->response = made;
    request->status = MHD_HTTP_SWITCHING_PROTOCOLS;
    go_on(request);
}

/* ---- the daemon ---- */

#if MHD_VERSION >= 0x00097701
static void *request_line_came(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    (void)cls;
    (void)uri;
    (void)MHD_set_connection_value(mhd, MHD_HEADER_KIND, "Host", no_host);
    return NULL;
}
#define REQUEST_LINE_CAME MHD_OPTION_URI_LOG_CALLBACK, request_line_came, NULL,
#else
#define REQUEST_LINE_CAME
#endif

static size_t unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return http_unescape(text);
}

int http_mhd_start(struct http_server *s, const struct http_options *options, bool ipv6,
                   int *ret_epoll_fd)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL}, {0}, {MHD_OPTION_END, 0, NULL}};
    if (ipv6)
        flags |= MHD_USE_IPv6;
    if (options->tls_certificate != NULL) {
        s->tls = true;
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                         (void *)(uintptr_t)options->tls_certificate};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0,
                                         (void *)(uintptr_t)options->tls_key};
    }
    size_t memory = options->head_memory == 0 ? CONNECTION_MEMORY : options->head_memory;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, s->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_UNESCAPE_CALLBACK, unescape, s,
        REQUEST_LINE_CAME MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        s->daemon == NULL ? NULL : MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return ERR_UNAVAILABLE;
    *ret_epoll_fd = info->epoll_fd;
    return 0;
}

bool http_mhd_run(struct http_server *s)
{
    s->running = true;
    s->hangups_known = false;
    s->now_ms = clock_mono_ms();
    (void)MHD_run(s->daemon); /* fails only after a stop */
    s->running = false;
    s->hangups_known = false;
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    return MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES && wait_ms == 0;
}

void http_mhd_quiesce(struct http_server *s)
{
    (void)MHD_quiesce_daemon(s->daemon);
}

void http_mhd_stop(struct http_server *s)
{
    MHD_stop_daemon(s->daemon);
}
