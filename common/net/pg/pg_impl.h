/* What the files of pg share: the struct, and the life of its sessions (pg_session.c). */
#ifndef COMMON_NET_PG_PG_IMPL_H
#define COMMON_NET_PG_PG_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/backoff.h"
#include "common/net/hosts.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_cluster.h"
#include "common/net/pg/pg_pipeline.h"
#include "common/net/pg/pg_reason.h"
#include "common/net/pg/pg_wire.h"

/* What is found out about a pooler of connections in between, while the session greets. */
struct pg_pooler {
    bool between;
    struct pg *probe;             /* a second session, at the same time */
    int code;                     /* below 0: the session is not to be used, */
    char refusal[PG_REASON_SIZE]; /* and why */
};

enum pg_phase {
    PG_PHASE_IDLE, /* waits for the next try */
    PG_PHASE_RESOLVING,
    PG_PHASE_CONNECTING, /* and logging in */
    PG_PHASE_GREETING,   /* waits for the answer to the first statement */
    PG_PHASE_UP,
    PG_PHASE_BROKEN, /* given up inside a caller's call: the loop will say so */
    PG_PHASE_CLOSED, /* freed in the loop's next turn: callers of callbacks still look at it */
};

struct pg {
    struct loop *loop;
    struct pg_options options;
    char *url;
    char *application_name;
    pg_state_cb state;
    void *arg;

    enum pg_phase phase;
    uint64_t up_since_ms;
    struct pg_wire *wire; /* while connecting; then it is the pipeline's */
    struct pg_pipeline pipeline;
    struct loop_watch *watch;
    struct loop_timer *timer;    /* the next try, the end of this one, what broke, or the end */
    struct loop_timer *deadline; /* of the oldest query */
    struct backoff backoff;
    struct host_walk walk;
    bool probe; /* it reads the identity of one host, whether that takes writes or not */
    struct pg_resolve *resolve;
    int fault;
    uint32_t limit_ms; /* statement timeout of this session */
    struct pg_cluster_member member;
    struct {
        unsigned awaited; /* answers, and the other hosts' */
        int code;
        char reason[PG_REASON_SIZE];
    } greeting; /* of this session */
    int backend;
    struct pg_pooler pooler;
    /* pg_open_probe and pg_close, for pg_pooler.c, which is below them */
    struct pg *(*open_probe)(struct loop *loop, const struct pg_options *options, size_t host,
                             pg_state_cb state, void *arg);
    void (*close_probe)(struct pg *probe);

    char reason[PG_REASON_SIZE]; /* why it is down, as last logged */
};

/* A session with the URL's host number `host`, only to read its identity: up when it is read. Close
 * it at the first report. */
struct pg *pg_open_probe(struct loop *loop, const struct pg_options *options, size_t host,
                         pg_state_cb state, void *arg);
void pg_free(struct pg *pg);
/* Of the timers. */
void pg_timer_fired(void *arg);
void pg_deadline_fired(void *arg);
/* After a call of the pipeline on behalf of a caller: what it sent is watched, or, where the
 * session broke over it, the loop ends it: callbacks come from the loop only. */
void pg_session_called(struct pg *pg);
/* The other hosts have been asked. */
void pg_session_known(void *arg);
/* Ends this session from within a caller's call. */
void pg_session_give_up(struct pg *pg, const char *reason);
/* The answer to the first statement of a session: one that others have prepared is not its own. */
void pg_pooler_first(struct pg *pg, const struct pg_result *result);
/* A pooler is in between: finds out whether it shares sessions, and sets what the login could not.
 * The greeting awaits what that takes. */
void pg_pooler_begin(struct pg *pg);
/* Why the greeting has not ended in time, if that is the pooler's doing. Static; NULL: it is not.
 */
const char *pg_pooler_mute(const struct pg *pg);
void pg_pooler_end(struct pg *pg);
/* Ends all; everybody hears that their answer is lost. */
void pg_session_close(struct pg *pg);

#endif
