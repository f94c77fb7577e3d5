/* What the files of db share: the session's struct, its life (db_session.c) and its traffic (db.c).
 */
#ifndef COMMON_NET_PG_PG_IMPL_H
#define COMMON_NET_PG_PG_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/backoff.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_wire.h"
#include "common/net/pg/pg_queue.h"

enum db_phase {
    DB_PHASE_IDLE, /* waits for the next try */
    DB_PHASE_RESOLVING,
    DB_PHASE_CONNECTING,
    DB_PHASE_UP,
    DB_PHASE_SCRIPT, /* up, outside the pipeline */
    DB_PHASE_BROKEN, /* given up inside a caller's call: the loop will say so */
};

struct db_prepared {
    const struct db_statement *statement;
    bool ready; /* the server has answered */
};

struct db {
    struct loop *loop;
    struct db_options options;
    char *url;
    char *application_name;
    db_state_cb state;
    db_notify_cb notify;
    void *arg;
    void *notify_arg;

    enum db_phase phase;
    bool told_up;
    uint64_t session; /* counts connections: tells a caller of callbacks that its own has ended */
    struct pg *pg;
    struct loop_watch *watch;
    struct loop_timer *timer; /* the next try, the end of this one, or what broke */
    struct backoff backoff;
    struct resolve *resolve;
    unsigned attempts;
    int fault;

    struct db_ring sent;
    size_t unanswered; /* bytes of what is sent */
    struct db_line held;
    struct db_held *script; /* the one that runs */
    struct db_result *script_result;
    bool script_failed;
    struct db_prepared *prepared; /* in this session */
    size_t prepared_count;
    size_t prepared_cap;

    bool closed;
    char reason[PG_REASON_SIZE]; /* why it is down, as last told */
};

/* Hands a result (NULL: lost) to a callback that may be NULL. */
void db_report(db_result_cb cb, const struct db_result *result, void *arg);
/* Frees everything. A session that is in use is only closed; its timer frees it in the loop's next
 * turn, so callbacks may close it while their callers still look at it. */
void db_free(struct db *db);
void db_disconnect(struct db *db);
/* Everybody who waits hears that the answer will not come. */
void db_tell_lost(struct db *db);
/* Ends this session (or try), tells everybody, and tries again later. Only from the loop. */
void db_fail(struct db *db, int fault, const char *reason);
void db_fail_with_reason(struct db *db);
/* The same from within a caller's call: callbacks come from the loop only. */
void db_give_up(struct db *db, const char *reason);
void db_give_up_with_reason(struct db *db);
/* While connecting: the socket is ready for the next step. */
void db_session_step(struct db *db);
void db_timer_fired(void *arg);
void db_socket_ready(int events, void *arg);

#endif
