/*
 * A PostgreSQL session (libpq, non-blocking, pipeline mode) that is kept connected. Each query is a
 * transaction of its own: it leaves in one flush that ends in COMMIT. Queries are answered in
 * order. The hosts of the URL are walked from a random one on; a session whose server has become
 * read-only (25006), or does not answer in time, ends, and the next host is tried.
 */
#ifndef COMMON_NET_PG_PG_H
#define COMMON_NET_PG_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/net/pg/pg_result.h"

struct pg;

/* Whether `url` reads as postgresql://[user[:password]@][host][:port][/database][?option=value]. 0,
 * or ERR_PARSE with a static text in `ret_problem` that repeats nothing of the URL. */
MUST_CHECK int pg_url_check(const char *url, const char **ret_problem);

/* What a judge returns instead of an error if the server will suit within moments: it is asked
 * again each 100 ms. */
#define PG_SOON ERR_TIMEOUT

/* The first statement of each session, which is up only if its answer suits. */
struct pg_greeting {
    const struct pg_statement *statement; /* without parameters */
    /* PG_OK or PG_ERROR came. 0, or an ERR_* with a reason of one line: this try has failed. */
    int (*judge)(const struct pg_result *result, char *ret_reason, size_t reason_size);
};

/*
 * What a process knows of the servers behind a URL: which cluster it is, and the newest timeline
 * that it has seen. PostgreSQL counts the timeline up at each promotion, so an old primary that
 * comes back shows a lower one. A session of a cluster is up only where no other host of the URL,
 * and no earlier session of the process, has shown a newer timeline; the other hosts are asked
 * before, for 1 s at most. Another cluster under the same URL is refused while the process runs. A
 * session ends when its process learns of a newer timeline.
 */
struct pg_cluster;
/* `application_name` is that of the short sessions that ask the other hosts. NULL: no memory. */
struct pg_cluster *pg_cluster_new(struct loop *loop, const char *url, const char *application_name);
/* Close its sessions first. NULL is allowed. */
void pg_cluster_free(struct pg_cluster *cluster);

/* What a host of the URL answered. */
struct pg_found {
    const char *place; /* "host:port" */
    bool answered;
    bool known;  /* … and showed the following */
    bool writes; /* it is no standby */
    const char *system;
    int64_t timeline;
};

/* Valid during the call. */
typedef void (*pg_survey_cb)(const struct pg_found *hosts, size_t count, void *arg);
/* Asks every host of the URL, 8 at most, for 1 s at most; `cb` comes from the loop. One at a time.
 */
void pg_cluster_survey(struct pg_cluster *cluster, pg_survey_cb cb, void *arg);

struct pg_options {
    const char *url;
    struct pg_cluster *cluster; /* of the same URL; NULL: any server will do */
    const char *application_name;
    const struct pg_greeting *greeting;      /* NULL: none */
    uint32_t statement_timeout_ms;           /* 0: none */
    uint32_t idle_in_transaction_timeout_ms; /* 0: none */
    uint32_t tcp_user_timeout_ms;            /* 0: the system's */
    /* The client's own bound for the oldest query, since a server that hangs answers nothing and
     * no timeout of its own covers a commit: then the session is given up. 0: the statement timeout
     * and 1 s, or none without that. */
    uint32_t answer_timeout_ms;
    size_t pending_max; /* queries without an answer; more give ERR_FULL */
};

/* up: a new session (a new backend). Down: every pending callback has had PG_LOST before this. */
typedef void (*pg_state_cb)(bool up, const char *reason, void *arg);

/* Starts connecting; retries with backoff (100 ms to 2 s) for ever. `state` may be NULL. NULL: no
 * memory. */
struct pg *pg_open(struct loop *loop, const struct pg_options *options, pg_state_cb state,
                   void *arg);
/* Pending callbacks get PG_LOST. NULL is allowed. */
void pg_close(struct pg *pg);
bool pg_is_up(const struct pg *pg);
/*
 * What the last try to connect met, while down: 0 (none has ended yet, or it is up),
 * ERR_UNAVAILABLE (no answer, or not now), or what will not mend by itself: ERR_NOT_FOUND (no
 * such host or database), ERR_AUTH (the login is refused), or what the greeting's judge returned.
 */
int pg_fault(const struct pg *pg);
/* Why it is down, as last reported to its pg_state_cb; "" while up, and before the first try has
 * ended. Valid until the loop runs on. */
const char *pg_reason(const struct pg *pg);
/* Whether this session is at another server, or at another timeline of it, than the session before:
 * what that one has shown may not be known here, and the other way round. Only with a cluster. */
bool pg_moved(const struct pg *pg);
/* The server's version as text, such as "15.20"; "" while down. */
const char *pg_server_version(const struct pg *pg);
/* Process id of the server's backend; 0 while down. Behind a pooler only with a cluster. */
int pg_backend_pid(const struct pg *pg);
/* Whether a pooler of connections is in between, one that gives each client a session of its own:
 * pg_fault is ERR_CONFLICT with another. Only with a cluster. */
bool pg_pooled(const struct pg *pg);
/*
 * What PostgreSQL may keep instead of a password (SCRAM-SHA-256): for `alter role … password`, so
 * that the password itself reaches neither the server nor its log. It has no quote in it. Another
 * one each time. ERR_UNAVAILABLE while down, ERR_NOMEM, ERR_FULL.
 */
MUST_CHECK int pg_password_hash(struct pg *pg, const char *user, const char *password,
                                char *ret_text, size_t size);
/* Queries sent and not yet answered. */
size_t pg_pending(const struct pg *pg);
/* Ends this session (say, after a lost fence) and connects anew. */
void pg_reconnect(struct pg *pg);

/*
 * Sends a statement with text parameters (NULL: null); they are copied. `cb` comes exactly once,
 * from the loop. ERR_UNAVAILABLE while down (no callback), ERR_FULL.
 */
MUST_CHECK int pg_query(struct pg *pg, const struct pg_statement *statement,
                        const char *const *params, pg_result_cb cb, void *arg);

/*
 * From here on the server ends a statement that takes longer than `ms` with SQLSTATE 57014; a new
 * session begins with that of the options. Sends nothing if that is so already. As pg_query.
 */
MUST_CHECK int pg_limit(struct pg *pg, uint32_t ms);

/* From here on `ms` is the client's own bound for the oldest query, as answer_timeout_ms of the
 * options, also in later sessions; 0: none. Scripts have none. */
void pg_patience(struct pg *pg, uint32_t ms);

/* Runs a script of several statements as one transaction (outside the pipeline: waits until it is
 * empty, holds later queries back meanwhile). For migrations. `sql` is copied. */
MUST_CHECK int pg_script(struct pg *pg, const char *sql, pg_result_cb cb, void *arg);

/* Notifications of the channels that the session LISTENs to (send "listen x" as a query). */
void pg_on_notify(struct pg *pg, pg_notify_cb cb, void *arg);

/* PostgreSQL array literals: begin, then one call per element, then end. */
void pg_array_begin(struct buf *out);
void pg_array_text(struct buf *out, const char *value); /* NULL: null */
void pg_array_int(struct buf *out, int64_t value);
void pg_array_null(struct buf *out);
void pg_array_end(struct buf *out);

#endif
