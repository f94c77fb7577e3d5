/* libpq behind a few calls: one connection in pipeline mode, without a loop or a queue. Nothing
 * here blocks; what waits is the caller's file descriptor watch. */
#ifndef COMMON_NET_PG_PG_WIRE_H
#define COMMON_NET_PG_PG_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/pg/pg_reason.h"
#include "common/net/pg/pg_result.h"

struct pg_wire;

struct pg_wire_target {
    const char *url;
    const char *application_name;
    uint32_t statement_timeout_ms; /* 0: none, here and below */
    uint32_t idle_in_transaction_timeout_ms;
    uint32_t tcp_user_timeout_ms;
    bool any;             /* whatever the URL says, also a server that takes no writes */
    bool writable;        /* unless the URL says otherwise, only a server that takes writes */
    const char *host;     /* NULL, or instead of the URL's: names, separated by commas, … */
    const char *hostaddr; /* … an address for each, so that libpq resolves nothing itself … */
    const char *port;     /* … and the port of all */
};

enum pg_wire_poll { PG_WIRE_POLL_READ, PG_WIRE_POLL_WRITE, PG_WIRE_POLL_UP, PG_WIRE_POLL_FAILED };

/* What comes next from the server. */
enum pg_wire_event {
    PG_WIRE_WAIT,    /* nothing as yet */
    PG_WIRE_END,     /* no further result of this statement */
    PG_WIRE_RESULT,  /* a result, to be freed */
    PG_WIRE_ERROR,   /* the server refused the statement: a result, to be freed */
    PG_WIRE_ABORTED, /* skipped, because something before it in its transaction failed */
    PG_WIRE_SYNC,    /* a transaction has ended */
    PG_WIRE_FATAL,   /* the session is over, or says what we cannot understand */
};

/* See pg_url_check. */
MUST_CHECK int pg_wire_url_check(const char *url, const char **ret_problem);
/* Appends a part ("host", "hostaddr", "port") of a URL that was checked; nothing if absent.
 */
MUST_CHECK int pg_wire_url_part(const char *url, const char *part, struct buf *out);

/* Starts connecting. NULL: no memory. */
struct pg_wire *pg_wire_start(const struct pg_wire_target *target);
/* The next step; the descriptor (pg_wire_fd) may be another one afterwards. At PG_WIRE_POLL_UP the
 * connection is in pipeline mode. */
enum pg_wire_poll pg_wire_poll(struct pg_wire *wire);
void pg_wire_free(struct pg_wire *wire); /* NULL is allowed */
int pg_wire_fd(const struct pg_wire *wire);
int pg_wire_backend_pid(const struct pg_wire *wire);
const char *pg_wire_server_version(const struct pg_wire *wire);
/* See pg_password_hash. */
MUST_CHECK int pg_wire_password_hash(struct pg_wire *wire, const char *user, const char *password,
                                     char *ret_text, size_t size);
/* Why it failed, on one line; while connecting also what kind: see pg_fault. */
int pg_wire_reason(const struct pg_wire *wire, char ret_reason[PG_REASON_SIZE]);

/* Queue a message each for sending; 0 or ERR_IO, after which only pg_wire_free may follow. */
MUST_CHECK int pg_wire_send_prepare(struct pg_wire *wire, const struct pg_statement *statement);
MUST_CHECK int pg_wire_send_query(struct pg_wire *wire, const struct pg_statement *statement,
                                  const char *const *params, bool prepared);
/* Ends the transaction and sends what is queued. */
MUST_CHECK int pg_wire_send_sync(struct pg_wire *wire);
/* Only outside the pipeline. */
MUST_CHECK int pg_wire_send_script(struct pg_wire *wire, const char *sql);
/* Leaves or enters pipeline mode; nothing may be unanswered. */
MUST_CHECK int pg_wire_set_pipeline(struct pg_wire *wire, bool on);

/* 0: all is sent; 1: the socket takes no more now; ERR_IO. */
MUST_CHECK int pg_wire_flush(struct pg_wire *wire);
/* Reads what is there; 0 or ERR_IO. */
MUST_CHECK int pg_wire_consume(struct pg_wire *wire);
/* Whether more bytes wait in the socket. */
bool pg_wire_readable(const struct pg_wire *wire);
/* Whether the connection has ended. libpq has forgotten then what it still owed answers for, and
 * tells PG_WIRE_END again and again. */
bool pg_wire_is_lost(const struct pg_wire *wire);
enum pg_wire_event pg_wire_next(struct pg_wire *wire, struct pg_result **ret_result);
void pg_wire_result_free(struct pg_result *result); /* NULL is allowed */
/* Hands one notification to `cb`; false if there is none. */
bool pg_wire_notification(struct pg_wire *wire, pg_notify_cb cb, void *arg);

#endif
