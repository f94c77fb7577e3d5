/* The inside of an HTTP server, shared by http.c (the server's life), http_request.c (connections
 * and their requests) and http_mhd.c (libmicrohttpd). */
#ifndef COMMON_NET_HTTP_HTTP_IMPL_H
#define COMMON_NET_HTTP_HTTP_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/net/http/http.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

#define HTTP_HEAD_MAX ((size_t)16 * 1024)
#define HTTP_SWEEP_MS 1000 /* so often it checks idle connections */

enum request_state {
    REQUEST_IDLE,     /* no request, or one that is still arriving */
    REQUEST_OPEN,     /* with the handler */
    REQUEST_ANSWERED, /* until the answer is sent */
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
    bool early;        /* asked before its body is here, which is too large */
    bool long_body;    /* one of server->long_bodies */
    uint64_t since_ms; /* connected, or answered last */
    bool looked;       /* whether the client has ended, since then */
    bool hung_up;      /* the client has ended its side, see http_hangup.c */
    TAILQ_ENTRY(http_request) link;

    const char *method;
    const char *path;
    struct buf fields;     /* its headers, see http_fields.c */
    char id[HTTP_ID_SIZE]; /* "": not asked for yet */
    struct buf body;       /* its max is that of the request */
    uint64_t received;     /* bytes of the body, the cut ones included */
    bool too_large;

    struct MHD_Response *response; /* until it is queued */
    unsigned status;
    http_upgraded_cb upgrade_cb; /* until its call */
    void *upgrade_arg;
};

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    http_handler handler;
    void *arg;
    http_refuser refuse;
    size_t body_max;
    http_body_limit body_limit;
    uint64_t idle_ms;
    unsigned connections_max;
    unsigned upgraded_max;
    uint16_t port;
    int listen_fd; /* -1 once draining */
    bool full;     /* at its limit of connections after the previous run */
    bool draining;
    bool running; /* inside MHD_run */
    bool tls;
    int hangup_fd;      /* see http_hangup.c */
    bool hangups_known; /* in this turn of the loop */

    struct loop_watch *watch;
    struct loop_deferred *soon; /* runs the library in the next turn */
    struct loop_timer *sweep;   /* ends connections that are idle for too long */
    uint64_t now_ms;            /* of this run */

    /* Each connection is in one of them; `waiting` is in order of since_ms. */
    struct request_list waiting;
    struct request_list open;
    size_t open_count;
    size_t connection_count;
    size_t long_bodies; /* requests with a body over HTTP_LONG_BODY */
};

/* ---- http_request.c ---- */

/* A new connection. NULL: no memory. */
struct http_request *http_request_new(struct http_server *server, struct MHD_Connection *mhd,
                                      int fd);
/* The connection has ended; the library's part of it is freed already. */
void http_request_free(struct http_request *request);
/* The only function that changes a request's state; moves it to the list of that state. */
void http_request_enter(struct http_request *request, enum request_state state);
/* Before the body comes: how long it may be. */
void http_request_limit_body(struct http_request *request);
/* Adds to the body; one that becomes too large is cut. False: the server has too many long ones. */
MUST_CHECK bool http_request_add_body(struct http_request *request, const char *data, size_t len);
/* The answer was sent or the connection ended: room for the next request. */
void http_request_reset(struct http_request *request);
/* Ends connections that are idle for too long, or that their client left unnoticed. */
void http_requests_sweep(struct http_server *server);

/* ---- http_fields.c ---- */

/* Bytes of `fields` for a head of HTTP_HEAD_MAX, whose shortest line has 4. */
#define HTTP_FIELDS_MAX (HTTP_HEAD_MAX / 4 * (2 * sizeof(char *) + sizeof(size_t)))

/* Keeps a header for the look-ups of a handler, until http_request_reset. */
void http_fields_add(struct http_request *request, const char *name, size_t name_len,
                     const char *value);

/* ---- http_hangup.c ---- */

/* -1 in server->hangup_fd: not open. ERR_UNAVAILABLE. */
MUST_CHECK int http_hangups_open(struct http_server *server);
void http_hangups_close(struct http_server *server);
/* Notices from now on when the client ends its side. False: no memory. */
MUST_CHECK bool http_hangup_watch(struct http_request *request);
/* Before another gets the socket, which stays open. */
void http_hangup_unwatch(struct http_request *request);
/* Whether the client has ended its side and everything that it sent before is read. */
bool http_hung_up(struct http_request *request);

/* ---- http_alone.c ---- */

/* Whether the library cannot send the answer. */
bool http_alone_needed(struct http_request *request);
/* Sends it in place of the library, as far as the socket takes it at once, and ends our side;
 * `reason` is the phrase of its status. */
void http_alone_send(struct http_request *request, const struct http_response *response,
                     const char *reason);

/* ---- http_mhd.c ---- */

/* Lets the server's owner write this layer's refusal; the connection ends after the answer. */
void http_request_refuse(struct http_request *request, unsigned status, const char *detail);

/* Serves `server->listen_fd`. ERR_UNAVAILABLE. */
MUST_CHECK int http_mhd_start(struct http_server *server, const struct http_options *options,
                              bool ipv6, int *ret_epoll_fd);
/* Lets the library do its work; true: call it again at once. */
bool http_mhd_run(struct http_server *server);
/* Takes no more connections; the socket is the caller's again. */
void http_mhd_quiesce(struct http_server *server);
void http_mhd_stop(struct http_server *server);

#endif
