/*
 * The queries of one session after the other: sent in order, answered in order, held back when
 * enough is unanswered or a script runs alone. Knows no loop; whoever has the socket calls it when
 * the socket is ready, and ends the session when it says so.
 */
#ifndef COMMON_NET_PG_PG_PIPELINE_H
#define COMMON_NET_PG_PG_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg_queue.h"
#include "common/net/pg/pg_reason.h"
#include "common/net/pg/pg_result.h"
#include "common/net/pg/pg_wire.h"

struct pg_prepared;

struct pg_pipeline {
    struct pg_wire *wire;    /* NULL: no session */
    bool over;               /* this session is to end: nothing more is sent or reported */
    bool unflushed;          /* something waits for room in the socket */
    uint64_t session;        /* counts them: tells a caller of callbacks that its own has ended */
    uint64_t waits_since_ms; /* monotonic: the oldest query is the oldest since then */

    struct pg_ring sent;
    size_t unanswered; /* bytes of what is sent */
    struct pg_line held;
    struct pg_held *script; /* the one that runs */
    struct pg_result *script_result;
    bool script_failed;
    struct pg_prepared *prepared; /* in this session */
    size_t prepared_count;
    size_t prepared_cap;

    pg_notify_cb notify;
    void *notify_arg;
    char problem[PG_REASON_SIZE]; /* why the session is to end, after ERR_IO */
};

/* A session begins on a wire that is up; ends, its wire freed. Zeroed is without a session. */
void pg_pipeline_begin(struct pg_pipeline *pipeline, struct pg_wire *wire);
void pg_pipeline_end(struct pg_pipeline *pipeline);
/* Everybody who waits hears that the answer will not come. Only without a session. */
void pg_pipeline_tell_lost(struct pg_pipeline *pipeline);
void pg_pipeline_free(struct pg_pipeline *pipeline);

/* Sends or holds back: 0, ERR_NOMEM, or ERR_IO (the session is to end; this query is not known). */
MUST_CHECK int pg_pipeline_query(struct pg_pipeline *pipeline, const struct pg_statement *statement,
                                 const char *const *params, pg_result_cb cb, void *arg);
/* Likewise; a script runs when the pipeline is empty, and holds later queries back. */
MUST_CHECK int pg_pipeline_script(struct pg_pipeline *pipeline, const char *sql, pg_result_cb cb,
                                  void *arg);
/* The socket has room again: 0 or ERR_IO. */
MUST_CHECK int pg_pipeline_flush(struct pg_pipeline *pipeline);
/* Takes what has come: 0, ERR_IO (the connection is gone), ERR_REFUSED (the session is of no use
 * any more, and is to end once its caller has returned), or ERR_CLOSED (a callback has ended it).
 * Callbacks may do anything. */
MUST_CHECK int pg_pipeline_receive(struct pg_pipeline *pipeline);

/* Queries and scripts without an answer. */
size_t pg_pipeline_pending(const struct pg_pipeline *pipeline);
/* Something is sent and not answered, which has a bound in time. */
bool pg_pipeline_waits(const struct pg_pipeline *pipeline);

#endif
