/*
 * A buyer's open socket: what was sent, and what waits during a replay. The events of an order go
 * out in order; while `holding`, live ones wait for the replay.
 */
#ifndef NOTIFIER_SESSION_H
#define NOTIFIER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/loop.h"
#include "notifier/envelope.h"
#include "notifier/progress.h"
#include "notifier/registry.h"
#include "notifier/stats.h"
#include "notifier/ws.h"

#define SESSION_HELD_MAX ((size_t)64 * 1024) /* bytes of live events held during a replay */

enum session_replay_phase {
    SESSION_REPLAY_IDLE,     /* none is wanted */
    SESSION_REPLAY_QUEUED,   /* waits for its turn to read a page */
    SESSION_REPLAY_READING,  /* a query is in flight */
    SESSION_REPLAY_DRAINING, /* waits for the socket to drain before the next page */
};

/* What replay.c keeps for a session. Times are of the monotonic clock. */
struct session_replay {
    enum session_replay_phase phase;
    bool first;             /* not replayed yet */
    bool redo;              /* the first replay is wanted once more, after the one that runs */
    bool again;             /* wanted once more after the one that runs */
    bool fresh;             /* no gap in the stream since this replay began */
    bool covered;           /* complete up to now: replayed, and no gap in the stream since */
    unsigned first_server;  /* the server that the first replay came from */
    int64_t after_id;       /* the first replay starts after this event; -1: at the open orders */
    int64_t cursor;         /* last event id of the page before */
    uint64_t since_ms;      /* complete up to here, when not covered */
    uint64_t began_ms;      /* this replay's first query */
    struct replay_run *run; /* the query, while READING */
    TAILQ_ENTRY(session) link;
};

struct session;

/* Called with each event that went out. */
typedef void (*session_pushed_cb)(struct session *session, const struct envelope *envelope,
                                  void *arg);

struct session {
    struct registry_member member;
    struct ws *ws;
    struct loop_timer *stay;
    struct stats *stats;
    struct progress progress;
    struct session_replay replay;
    bool leaving; /* our goodbye was said */
    bool holding;
    bool held_lost; /* some held events were dropped: replay again */
    struct buf held;
    LIST_HEAD(session_places, place) places; /* of places.c */
    session_pushed_cb pushed;                /* may be NULL */
    void *pushed_arg;
    void *owner;
};

/* Sends an event now, unless the socket has it or a newer one of its order. It closes a socket that
 * is too slow. */
void session_push(struct session *session, const struct envelope *envelope, const char *text,
                  size_t len);
/* Takes a live event: pushed, or held. */
void session_offer(struct session *session, const struct envelope *envelope, const char *text,
                   size_t len);
/* Sends what is no event of an order's own. Like ws_send; it closes a socket that is too slow. */
MUST_CHECK int session_tell(struct session *session, const char *text, size_t len);
/* Live events wait from now on. */
void session_hold(struct session *session);
/* Sends the held ones in the order of their arrival; live ones flow again. */
void session_release(struct session *session);
/* Frees its memory, but not the session itself, its socket or its timer. */
void session_clear(struct session *session);

#endif
