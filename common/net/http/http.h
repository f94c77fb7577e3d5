/*
 * HTTP server (libmicrohttpd on our loop). A handler answers at once or later; the connection is
 * suspended meanwhile; a client that has ended its side gets its answer. It answers requests that
 * have two readings (a second Content-Length, Host or Transfer-Encoding; Content-Length beside
 * Transfer-Encoding; white space before a colon) with 400 and closes the connection.
 */
#ifndef COMMON_NET_HTTP_HTTP_H
#define COMMON_NET_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/net/address.h"
#include "common/net/http/http_values.h"

struct http_server;
struct http_request;

struct http_header {
    const char *name;
    const char *value;
};

#define HTTP_HEADERS_MAX 12
#define HEADER_LIST_MAX ((size_t)16 * 1024) /* no head is larger */

struct http_response {
    unsigned status;
    const char *content_type; /* NULL: none */
    const char *body;         /* copied */
    size_t body_len;
    const struct http_header *headers; /* further headers, copied */
    size_t header_count;
    bool close; /* close the connection afterwards */
};

/* Answers, by http_respond, a request that the server itself refuses before any handler sees it:
 * `status` is 400 (not to be understood in one way), 431 or 503 (the server closes); `detail` is a
 * static text; `arg` is the handler's. */
typedef void (*http_refuser)(struct http_request *request, unsigned status, const char *detail,
                             void *arg);

/* The most bytes that the body of this request may have; only its method and path are known. */
typedef size_t (*http_body_limit)(const struct http_request *request, void *arg);

/* So many requests at a time may have a longer body; the server answers 503 to further ones. */
#define HTTP_LONG_BODY ((size_t)64 * 1024)
#define HTTP_LONG_BODIES_MAX 16

struct http_options {
    const char *host;
    uint16_t port;            /* 0: a free one, see http_server_port */
    unsigned upgraded_max;    /* descriptors of upgraded connections, beside these: */
    unsigned connections_max; /* fewer where the limit of descriptors does not allow them */
    unsigned idle_timeout_s;  /* from connecting or the last answer to the end of the next request;
                                 shorter when nearly all connections are taken */
    size_t body_max;          /* it cuts a longer body: http_request_body_too_large */
    http_body_limit body_limit; /* in place of body_max, with the handler's arg; NULL: none */
    size_t head_memory; /* 0: for heads of up to 16 KiB. All of it is cleared for each request */
    bool reuse_port;    /* several processes share the port (SO_REUSEPORT) */
    int bound;          /* > 0: listen on this socket of http_bind, and not on host and port;
                           it becomes the server's, except on ERR_UNAVAILABLE */
    const char *tls_certificate; /* PEM text; NULL: no TLS */
    const char *tls_key;         /* PEM text, too; both must outlive the server */
    http_refuser refuse;         /* NULL: the detail as plain text */
};

/* Called when the whole request has arrived. Must answer it now or later by
 * http_respond/http_upgrade. */
typedef void (*http_handler)(struct http_request *request, void *arg);

/* ERR_UNAVAILABLE: it cannot bind the address (see errno). */
MUST_CHECK int http_server_open(struct loop *loop, const struct http_options *options,
                                http_handler handler, void *arg, struct http_server **ret_server);
uint16_t http_server_port(const struct http_server *server);
/* While held, only connections that have begun already are accepted: another process on the shared
 * port gets the new ones once this one has drained. ERR_UNAVAILABLE: the kernel cannot. */
MUST_CHECK int http_server_hold(struct http_server *server, bool hold);
/* Stops accepting connections; open ones go on, and each is closed after its next answer. */
void http_server_drain(struct http_server *server);
/* Requests that a handler got and has not answered yet. */
size_t http_server_pending(const struct http_server *server);
/* How many upgraded connections the limit of descriptors allows, upgraded_max at most. */
unsigned http_server_upgraded_max(const struct http_server *server);
/* Connections open now, without upgraded ones. */
size_t http_server_connections(const struct http_server *server);
/* Ends every connection and frees the server. It answers pending requests with 503; they are
 * invalid afterwards. NULL is allowed. */
void http_server_close(struct http_server *server);

const char *http_request_method(const struct http_request *request);
const char *http_request_path(const struct http_request *request); /* without the query */
/* First value of a query argument or header; NULL: absent. Valid until the answer. */
const char *http_request_query(const struct http_request *request, const char *name);
const char *http_request_header(const struct http_request *request, const char *name);
/* Shows all arguments of the query in their order until `cb` returns false; "?name" without a "="
 * has the value NULL. */
typedef bool (*http_argument_cb)(const char *name, const char *value, void *arg);
void http_request_arguments(const struct http_request *request, http_argument_cb cb, void *arg);
/* Its X-Request-Id if that is 1 to 64 letters, digits, ".", "_" and "-", else one that is made for
 * it. The answer carries it. Valid until then. */
#define HTTP_ID_HEADER "X-Request-Id"
#define HTTP_ID_SIZE 65
const char *http_request_id(struct http_request *request);
size_t http_request_header_count(const struct http_request *request, const char *name);
struct http_body_kind http_request_body_kind(const struct http_request *request);
/* The other side of the connection: a client, or a proxy. ERR_INVALID: it has no IP address. */
MUST_CHECK int http_request_peer(const struct http_request *request, struct address *ret_peer);
/* All values of a header that is a list, in however many lines they came, in `out`. NULL: absent or
 * empty, or they do not fit. */
const char *http_request_list(const struct http_request *request, const char *name,
                              struct buf *out);
const char *http_request_body(const struct http_request *request, size_t *ret_len);
bool http_request_body_too_large(const struct http_request *request);

/* Answers the request, which is invalid afterwards (also if the client has left). */
void http_respond(struct http_request *request, const struct http_response *response);

/* Closes the connection instead of answering: after `len` raw bytes, if the socket takes them at
 * once, or with a reset if there are none. For a server that plays a broken one. The request is
 * invalid afterwards. */
void http_abort(struct http_request *request, const char *raw, size_t len);

/*
 * Answers 101 with `headers` and hands the raw non-blocking socket to `cb`, with bytes that the
 * client sent already. The socket is the callee's, to be closed by close(2); nothing of the server
 * is left of it. `headers` must hold Upgrade; Connection is added. If the client has left, or
 * speaks HTTP/1.0, `cb` gets -1 instead. The request is invalid afterwards. Not over TLS.
 */
typedef void (*http_upgraded_cb)(int fd, const char *extra, size_t extra_len, void *arg);
void http_upgrade(struct http_request *request, const struct http_header *headers,
                  size_t header_count, http_upgraded_cb cb, void *arg);

#endif
