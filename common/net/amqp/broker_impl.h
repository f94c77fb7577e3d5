/* The inside of a bus, shared by bus.c (the connection) and bus_channel.c (what runs on it). */
#ifndef COMMON_NET_AMQP_BROKER_IMPL_H
#define COMMON_NET_AMQP_BROKER_IMPL_H

#include "common/base/backoff.h"
#include "common/base/buf.h"
#include "common/net/amqp/broker.h"
#include "common/net/amqp/broker_confirms.h"
#include "common/net/amqp/broker_url.h"
#include "common/net/amqp/broker_wire.h"

struct attempt; /* a connect that runs in a background thread */

struct bus {
    struct loop *loop;
    struct bus_hosts hosts;
    size_t next_host;
    uint64_t failures; /* connects that failed since the last success */
    uint64_t told_ms;  /* when a failure was last reported */
    char *name;
    bus_state_cb cb;
    void *arg;
    struct backoff backoff;
    uint32_t heartbeat_s;

    enum bus_state state;
    int fault; /* how the last connect failed; 0 once one has succeeded */
    bool suspended;
    bool broken;             /* a send failed: the pump takes the connection down */
    bool polite;             /* old_wire is to be closed, not dropped */
    bool freed;              /* bus_close was called */
    unsigned depth;          /* of callbacks, see bus_enter */
    struct attempt *attempt; /* NULL: none is under way */
    struct wire *wire;       /* NULL: down */
    struct wire *old_wire;   /* no longer ours, but a callback may still read a frame of it */
    struct loop_watch *watch;
    struct loop_timer *retry; /* the next attempt */
    struct loop_timer *beat;  /* serves the heartbeats */
    struct loop_timer *soon;  /* pumps in the next turn */
    struct loop_hook *hook;   /* sees what the library read while it was sending */

    struct bus_channel **channels; /* by number; NULL: nobody's */
    bool *closing;                 /* by number: our close is not answered yet */
    struct bus_channel *graveyard; /* what was freed inside a callback */
    uint16_t channel_max;
    uint16_t last_number;
    char reason[WIRE_REASON_SIZE]; /* why it is broken */
};

/* Callbacks may free channels and the bus itself: what is freed between enter and leave is kept
 * until the outermost leave, so that those who called may still look at it. */
void bus_enter(struct bus *bus);
/* May free the bus, when it is the outermost. */
void bus_leave(struct bus *bus);
/* The connection cannot be used any more: the next turn takes it down. First reason wins. */
void bus_break(struct bus *bus, const char *reason);

/* bus_channel.c: one frame for a channel (not 0). */
void bus_channel_frame(struct bus *bus, const struct wire_frame *frame);
/* All channels lose their connection; they hear `reason`. */
void bus_channels_lost(struct bus *bus, const char *reason);
/* Open questions are answered with ERR_CLOSED. */
void bus_questions_end(struct bus *bus);
/* Frees all without a word. */
void bus_channels_free(struct bus *bus);
void bus_graveyard_clear(struct bus *bus);

#endif
