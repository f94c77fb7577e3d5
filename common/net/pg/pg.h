/*
 * A PostgreSQL session (libpq, non-blocking, pipeline mode) that is kept connected. Each query is a
 * transaction of its own: it leaves in one flush that ends in COMMIT. Queries are answered in
 * order.
 */
#ifndef COMMON_NET_PG_PG_H
#define COMMON_NET_PG_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"

struct db;
struct db_result;

/* Whether `url` reads as postgresql://[user[:password]@][host][:port][/database][?option=value]. 0,
 * or ERR_PARSE with a static text in `ret_problem` that repeats nothing of the URL. */
MUST_CHECK int db_url_check(const char *url, const char **ret_problem);

enum db_status {
    DB_OK,
    DB_ERROR, /* the server refused it: nothing of it was committed; see db_sqlstate */
    DB_LOST,  /* the connection went first: whether it was committed is unknown */
};

struct db_options {
    const char *url;
    const char *application_name;
    uint32_t statement_timeout_ms;           /* 0: none */
    uint32_t idle_in_transaction_timeout_ms; /* 0: none */
    uint32_t tcp_user_timeout_ms;            /* 0: the system's */
    size_t pending_max;                      /* queries without an answer; more give ERR_FULL */
};

/* A statement is prepared in a session when it is first used there. Static storage. */
struct db_statement {
    const char *name; /* unique in the program */
    const char *sql;  /* $1, $2, … with casts where types are not evident */
    int params;
};

typedef void (*db_result_cb)(const struct db_result *result, void *arg);
/* up: a new session (a new backend). Down: every pending callback has had DB_LOST before this. */
typedef void (*db_state_cb)(bool up, const char *reason, void *arg);
typedef void (*db_notify_cb)(const char *channel, const char *payload, void *arg);

/* Starts connecting; retries with backoff (100 ms to 2 s) for ever. `state` may be NULL. NULL: no
 * memory. */
struct db *db_open(struct loop *loop, const struct db_options *options, db_state_cb state,
                   void *arg);
/* Pending callbacks get DB_LOST. NULL is allowed. */
void db_close(struct db *db);
bool db_is_up(const struct db *db);
/*
 * What the last try to connect met, while down: 0 (none has ended yet, or it is up),
 * ERR_UNAVAILABLE (nobody answers, or not now), or what will not mend by itself: ERR_NOT_FOUND (no
 * such host or database), ERR_AUTH (the login is refused).
 */
int db_fault(const struct db *db);
/* The server's version as text, such as "15.20"; "" while down. */
const char *db_server_version(const struct db *db);
/* Process id of the server's backend; 0 while down. */
int db_backend_pid(const struct db *db);
/* Queries sent and not yet answered. */
size_t db_pending(const struct db *db);
/* Ends this session (say, after a lost fence) and connects anew. */
void db_reconnect(struct db *db);

/*
 * Sends a statement with text parameters (NULL: null); they are copied. `cb` comes exactly once,
 * from the loop. ERR_UNAVAILABLE while down (no callback), ERR_FULL.
 */
MUST_CHECK int db_query(struct db *db, const struct db_statement *statement,
                        const char *const *params, db_result_cb cb, void *arg);

/* Runs a script of several statements as one transaction (outside the pipeline: waits until it is
 * empty, holds later queries back meanwhile). For migrations. `sql` is copied. */
MUST_CHECK int db_script(struct db *db, const char *sql, db_result_cb cb, void *arg);

/* Notifications of the channels that the session LISTENs to (send "listen x" as a query). */
void db_on_notify(struct db *db, db_notify_cb cb, void *arg);

/* Results are valid during the callback. */
enum db_status db_status(const struct db_result *result);
const char *db_sqlstate(const struct db_result *result); /* five characters, or "" */
const char *db_message(const struct db_result *result);  /* one line for people, "" when fine */
/* Where in the statement or script the mistake is, in characters from 1; 0: not known. */
int db_error_position(const struct db_result *result);
int db_rows(const struct db_result *result);
int db_columns(const struct db_result *result);
const char *db_column_name(const struct db_result *result, int column);
bool db_null(const struct db_result *result, int row, int column);
const char *db_text(const struct db_result *result, int row, int column); /* "" if null */
const char *db_text_or_null(const struct db_result *result, int row, int column);
int64_t db_int(const struct db_result *result, int row, int column); /* 0 if null */
bool db_bool(const struct db_result *result, int row, int column);   /* false if null */

/* PostgreSQL array literals: begin, then one call per element, then end. */
void db_array_begin(struct buf *out);
void db_array_text(struct buf *out, const char *value); /* NULL: null */
void db_array_int(struct buf *out, int64_t value);
void db_array_null(struct buf *out);
void db_array_end(struct buf *out);

#endif
