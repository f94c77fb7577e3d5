/* What the files of pg share: the session's struct, its life (pg_session.c) and its traffic (pg.c).
 */
#ifndef COMMON_NET_PG_PG_IMPL_H
#define COMMON_NET_PG_PG_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/backoff.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_queue.h"
#include "common/net/pg/pg_wire.h"

enum pg_phase {
    PG_PHASE_IDLE, /* waits for the next try */
    PG_PHASE_RESOLVING,
    PG_PHASE_CONNECTING,
    PG_PHASE_UP,
    PG_PHASE_SCRIPT, /* up, outside the pipeline */
    PG_PHASE_BROKEN, /* given up inside a caller's call: the loop will say so */
};

struct pg_prepared {
    const struct pg_statement *statement;
    bool ready; /* the server has answered */
};

struct pg {
    struct loop *loop;
    struct pg_options options;
    char *url;
    char *application_name;
    pg_state_cb state;
    pg_notify_cb notify;
    void *arg;
    void *notify_arg;

    enum pg_phase phase;
    bool told_up;
    uint64_t session; /* counts connections: tells a caller of callbacks that its own has ended */
    struct pg_wire *wire;
    struct loop_watch *watch;
    struct loop_timer *timer; /* the next try, the end of this one, or what broke */
    struct backoff backoff;
    struct resolve *resolve;
    unsigned attempts;
    int fault;

    struct pg_ring sent;
    size_t unanswered; /* bytes of what is sent */
    struct pg_line held;
    struct pg_held *script; /* the one that runs */
    struct pg_result *script_result;
    bool script_failed;
    struct pg_prepared *prepared; /* in this session */
    size_t prepared_count;
    size_t prepared_cap;

    bool closed;
    char reason[PG_WIRE_REASON_SIZE]; /* why it is down, as last told */
};

/* Hands a result (NULL: lost) to a callback that may be NULL. */
void pg_report(pg_result_cb cb, const struct pg_result *result, void *arg);
/* Frees everything. A session that is in use is only closed; its timer frees it in the loop's next
 * turn, so callbacks may close it while their callers still look at it. */
void pg_free(struct pg *pg);
void pg_disconnect(struct pg *pg);
/* Everybody who waits hears that the answer will not come. */
void pg_tell_lost(struct pg *pg);
/* Ends this session (or try), tells everybody, and tries again later. Only from the loop. */
void pg_fail(struct pg *pg, int fault, const char *reason);
void pg_fail_with_reason(struct pg *pg);
/* The same from within a caller's call: callbacks come from the loop only. */
void pg_give_up(struct pg *pg, const char *reason);
void pg_give_up_with_reason(struct pg *pg);
/* While connecting: the socket is ready for the next step. */
void pg_session_step(struct pg *pg);
void pg_timer_fired(void *arg);
void pg_socket_ready(int events, void *arg);

#endif
