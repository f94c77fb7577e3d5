/* Answers that the library cannot send: to a client that has ended its side, which it drops when it
 * resumes the connection, and to a request whose body is not here yet. */
#include "common/net/http/http_impl.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/log.h"

#define ANSWER_MAX ((size_t)2 * 1024 * 1024)
#define ROOM_AT_FIRST ((size_t)64 * 1024) /* what a socket takes at once in any case */

bool http_alone_needed(struct http_request *r)
{
    return r->early || (r->suspended && !r->server->tls && http_hung_up(r));
}

static void add_header(struct buf *out, const char *name, const char *value)
{
    (void)buf_printf(out, "%s: %s\r\n", name, value);
}

static void add_date(struct buf *out)
{
    char date[32];
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm) != NULL &&
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
        add_header(out, "Date", date);
}

static void write_answer(struct buf *out, struct http_request *r,
                         const struct http_response *response, const char *reason)
{
    (void)buf_printf(out, "HTTP/1.1 %u %s\r\n", response->status, reason);
    add_date(out);
    add_header(out, "Connection", "close");
    add_header(out, HTTP_ID_HEADER, http_request_id(r));
    for (size_t i = 0; i < response->header_count; i++)
        add_header(out, response->headers[i].name, response->headers[i].value);
    if (response->content_type != NULL)
        add_header(out, "Content-Type", response->content_type);
    (void)buf_printf(out, "Content-Length: %zu\r\n\r\n", response->body_len);
    if (strcmp(r->method, "HEAD") != 0)
        (void)buf_append(out, response->body, response->body_len);
}

void http_alone_send(struct http_request *r, const struct http_response *response,
                     const char *reason)
{
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    write_answer(&out, r, response, reason);
    int room = (int)ANSWER_MAX;
    if (out.len > ROOM_AT_FIRST) /* as much as the kernel allows */
        (void)setsockopt(r->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (out.failed ||
        send(r->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)out.len)
        log_debug("answer not sent: the client is gone, or takes no bytes",
                  LOG_STR("request_id", http_request_id(r)));
    (void)shutdown(r->fd, SHUT_WR); /* what is sent stays before it */
    r->aborted = true;
    buf_free(&out);
}
