/* libpq behind a few calls: one connection in pipeline mode, without a loop or a queue. Nothing
 * here blocks; what waits is the caller's file descriptor watch. */
#ifndef COMMON_NET_PG_PG_WIRE_H
#define COMMON_NET_PG_PG_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"

#define PG_REASON_SIZE 256

struct pg;

struct pg_target {
    const struct db_options *options;
    const char *host;     /* NULL, or instead of the URL's: names, separated by commas, … */
    const char *hostaddr; /* … an address for each, so that libpq resolves nothing itself … */
    const char *port;     /* … and the port of all */
};

enum pg_poll { PG_POLL_READ, PG_POLL_WRITE, PG_POLL_UP, PG_POLL_FAILED };

/* What comes next from the server. */
enum pg_event {
    PG_WAIT,    /* nothing as yet */
    PG_END,     /* no further result of this statement */
    PG_RESULT,  /* a result, to be freed */
    PG_ERROR,   /* the server refused the statement: a result, to be freed */
    PG_ABORTED, /* skipped, because something before it in its transaction failed */
    PG_SYNC,    /* a transaction has ended */
    PG_FATAL,   /* the session is over, or says what we cannot understand */
};

/* Appends a part ("host", "hostaddr", "port") of a URL that db_url_check took; nothing if absent.
 */
MUST_CHECK int pg_url_part(const char *url, const char *part, struct buf *out);

/* Starts connecting. NULL: no memory. */
struct pg *pg_start(const struct pg_target *target);
/* The next step; the descriptor (pg_fd) may be another one afterwards. At PG_POLL_UP the connection
 * is in pipeline mode. */
enum pg_poll pg_poll(struct pg *pg);
void pg_free(struct pg *pg); /* NULL is allowed */
int pg_fd(const struct pg *pg);
int pg_backend_pid(const struct pg *pg);
const char *pg_server_version(const struct pg *pg);
/* Why it failed, on one line; while connecting also what kind: see db_fault. */
int pg_reason(const struct pg *pg, char ret_reason[PG_REASON_SIZE]);

/* Queue a message each for sending; 0 or ERR_IO, after which only pg_free may follow. */
MUST_CHECK int pg_send_prepare(struct pg *pg, const struct db_statement *statement);
MUST_CHECK int pg_send_query(struct pg *pg, const struct db_statement *statement,
                             const char *const *params, bool prepared);
/* Ends the transaction and sends what is queued. */
MUST_CHECK int pg_send_sync(struct pg *pg);
/* Only outside the pipeline. */
MUST_CHECK int pg_send_script(struct pg *pg, const char *sql);
/* Leaves or enters pipeline mode; nothing may be unanswered. */
MUST_CHECK int pg_set_pipeline(struct pg *pg, bool on);

/* 0: all is sent; 1: the socket takes no more now; ERR_IO. */
MUST_CHECK int pg_flush(struct pg *pg);
/* Reads what is there; 0 or ERR_IO. */
MUST_CHECK int pg_consume(struct pg *pg);
/* Whether more bytes wait in the socket. */
bool pg_readable(const struct pg *pg);
/* Whether the connection has ended. libpq has forgotten then what it still owed answers for, and
 * tells PG_END again and again. */
bool pg_is_lost(const struct pg *pg);
enum pg_event pg_next(struct pg *pg, struct db_result **ret_result);
void pg_result_free(struct db_result *result); /* NULL is allowed */
/* Hands one notification to `cb`; false if there is none. */
bool pg_notification(struct pg *pg, db_notify_cb cb, void *arg);

#endif
