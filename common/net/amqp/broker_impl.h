/* The inside of a broker, shared by broker.c (the connection's life), broker_link.c (what its parts
 * have in common), broker_channel.c and broker_topology.c (what runs on it). */
#ifndef COMMON_NET_AMQP_BROKER_IMPL_H
#define COMMON_NET_AMQP_BROKER_IMPL_H

#include "common/base/backoff.h"
#include "common/net/amqp/broker.h"
#include "common/net/amqp/broker_assembly.h"
#include "common/net/amqp/broker_attempt.h"
#include "common/net/amqp/broker_confirms.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/amqp/broker_wire.h"
#include "common/net/hosts.h"

enum broker_phase {
    BROKER_PHASE_IDLE,       /* waits for the next try */
    BROKER_PHASE_CONNECTING, /* a try runs in a thread */
    BROKER_PHASE_UP,
    BROKER_PHASE_BLOCKED,   /* up, but the broker takes no publishes */
    BROKER_PHASE_BROKEN,    /* cannot be used any more: the next turn takes it down */
    BROKER_PHASE_SUSPENDED, /* down until broker_resume */
    BROKER_PHASE_CLOSED,    /* freed once its callbacks have returned */
};

struct broker {
    struct loop *loop;
    struct broker_hosts hosts;
    struct host_walk walk;
    char node[272];     /* "host:port" of the newest attempt */
    uint64_t failures;  /* connects that failed since the last success */
    uint64_t logged_ms; /* when a failure was last reported */
    char *name;
    broker_state_cb cb;
    void *arg;
    struct backoff backoff;
    uint32_t heartbeat_s;

    enum broker_phase phase;
    uint64_t up_since_ms;
    int fault;                      /* how the last connect failed; 0 once one has succeeded */
    unsigned depth;                 /* of callbacks, see broker_enter */
    struct broker_attempt *attempt; /* while connecting */
    struct wire *wire;              /* NULL: down */
    size_t room;                    /* bytes that the socket takes without asking it first */
    struct wire *old_wire; /* no longer ours, but a callback may still read a frame of it */
    bool polite;           /* old_wire is to be closed, not dropped */
    struct loop_watch *watch;
    struct loop_timer *retry;     /* the next attempt */
    struct loop_timer *heartbeat; /* serves the heartbeats, and finds what is overdue */
    struct loop_deferred *soon;   /* pumps in the next turn */
    struct loop_hook *hook;       /* sees what the library read while it was sending */
    loop_cb at_rest;              /* what broker_leave ends with */

    struct broker_channel **channels; /* by number; NULL: not in use */
    bool *closing;                    /* by number: our close is not answered yet */
    struct broker_channel *graveyard; /* what was freed inside a callback */
    uint64_t answered_ms;             /* when a channel that is being opened last got a frame */
    uint16_t channel_max;
    uint16_t last_number;
    char reason[WIRE_REASON_SIZE]; /* why it is broken */
};

enum broker_channel_phase { CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_DEAD };

struct broker_channel {
    struct broker *broker;
    uint16_t number; /* 0: it has none any more */
    enum broker_channel_phase phase;
    uint64_t asked_ms; /* for its opening, or what it is to answer */
    bool released;     /* by its owner: it hears nothing more */
    struct broker_channel_events events;
    void *arg;
    struct broker_channel *next_dead;
    struct broker_assembly assembly;
    struct broker_confirms confirms;
    broker_reply_cb reply; /* a question about the topology; NULL for the others */
};

/* ---- broker_link.c ---- */

/* The only one that changes the phase. `reason`: for the log. */
void broker_enter_phase(struct broker *broker, enum broker_phase phase, const char *reason);
/* Callbacks may free channels and the broker itself: what is freed between enter and leave is kept
 * until the outermost leave, so that those who called may still look at it. */
void broker_enter(struct broker *broker);
/* May free the broker, when it is the outermost. */
void broker_leave(struct broker *broker);
/* The connection cannot be used any more: the next turn takes it down. First reason wins. */
void broker_break(struct broker *broker, const char *reason);
/* Whether something can be sent. */
bool broker_is_usable(const struct broker *broker);
/* Whether `bytes` can be sent now without waiting for the socket; call it once for each time. */
MUST_CHECK bool broker_take_room(struct broker *broker, size_t bytes);

/* ---- broker_channel.c ---- */

#define BROKER_SMALL_FRAME 1024 /* more than any method without a body of ours needs */

/* A channel that is in its place, still to be asked for. ERR_UNAVAILABLE, ERR_FULL, ERR_NOMEM. */
MUST_CHECK int broker_channel_new(struct broker *broker, size_t body_max,
                                  struct broker_channel **ret_channel);
/* Its opening could not be sent: frees it. Always ERR_UNAVAILABLE. */
int broker_channel_undo(struct broker_channel *channel);
/* One frame for a channel (not 0). */
void broker_channel_frame(struct broker *broker, const struct wire_frame *frame);
/* Ends a channel that waits for too long for an answer, or the connection if it answers nothing. */
void broker_channels_look(struct broker *broker, uint64_t now_ms);
/* All channels lose their connection; they hear `reason`. */
void broker_channels_lost(struct broker *broker, const char *reason);
/* Open questions are answered with ERR_CLOSED. */
void broker_questions_end(struct broker *broker);
/* Frees all without a word. */
void broker_channels_free(struct broker *broker);
void broker_graveyard_clear(struct broker *broker);

#endif
