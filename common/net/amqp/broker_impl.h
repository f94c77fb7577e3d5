/* The inside of a broker, shared by broker.c (the connection) and broker_channel.c (what runs on
 * it). */
#ifndef COMMON_NET_AMQP_BROKER_IMPL_H
#define COMMON_NET_AMQP_BROKER_IMPL_H

#include "common/base/backoff.h"
#include "common/base/buf.h"
#include "common/net/amqp/broker.h"
#include "common/net/amqp/broker_confirms.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/amqp/broker_wire.h"

struct attempt; /* a connect that runs in a background thread */

struct broker {
    struct loop *loop;
    struct broker_hosts hosts;
    size_t next_host;
    char node[272];    /* "host:port" of the newest attempt */
    uint64_t failures; /* connects that failed since the last success */
    uint64_t told_ms;  /* when a failure was last reported */
    char *name;
    broker_state_cb cb;
    void *arg;
    struct backoff backoff;
    uint32_t heartbeat_s;

    enum broker_state state;
    int fault; /* how the last connect failed; 0 once one has succeeded */
    bool suspended;
    bool broken;             /* a send failed: the pump takes the connection down */
    bool polite;             /* old_wire is to be closed, not dropped */
    bool freed;              /* broker_close was called */
    unsigned depth;          /* of callbacks, see broker_enter */
    struct attempt *attempt; /* NULL: none is under way */
    struct wire *wire;       /* NULL: down */
    struct wire *old_wire;   /* no longer ours, but a callback may still read a frame of it */
    struct loop_watch *watch;
    struct loop_timer *retry;   /* the next attempt */
    struct loop_timer *beat;    /* serves the heartbeats */
    struct loop_deferred *soon; /* pumps in the next turn */
    struct loop_hook *hook;     /* sees what the library read while it was sending */

    struct broker_channel **channels; /* by number; NULL: nobody's */
    bool *closing;                    /* by number: our close is not answered yet */
    struct broker_channel *graveyard; /* what was freed inside a callback */
    uint16_t channel_max;
    uint16_t last_number;
    char reason[WIRE_REASON_SIZE]; /* why it is broken */
};

/* Callbacks may free channels and the broker itself: what is freed between enter and leave is kept
 * until the outermost leave, so that those who called may still look at it. */
void broker_enter(struct broker *broker);
/* May free the broker, when it is the outermost. */
void broker_leave(struct broker *broker);
/* The connection cannot be used any more: the next turn takes it down. First reason wins. */
void broker_break(struct broker *broker, const char *reason);

/* broker_channel.c: one frame for a channel (not 0). */
void broker_channel_frame(struct broker *broker, const struct wire_frame *frame);
/* All channels lose their connection; they hear `reason`. */
void broker_channels_lost(struct broker *broker, const char *reason);
/* Open questions are answered with ERR_CLOSED. */
void broker_questions_end(struct broker *broker);
/* Frees all without a word. */
void broker_channels_free(struct broker *broker);
void broker_graveyard_clear(struct broker *broker);

#endif
