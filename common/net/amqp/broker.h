/*
 * RabbitMQ (librabbitmq) on our loop. A bus is one connection that is kept up: resolving and
 * logging in happen in a background thread, everything else is asynchronous on one frame pump.
 * Nothing here blocks the loop.
 */
#ifndef COMMON_NET_AMQP_BROKER_H
#define COMMON_NET_AMQP_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct bus;
struct bus_channel;

enum bus_state {
    BUS_DOWN,
    BUS_UP,
    BUS_BLOCKED, /* up, but the broker takes no publishes (connection.blocked: memory or disk alarm)
                  */
};

struct bus_options {
    const char
        *urls; /* amqp://user:password@host:port/vhost[,…]; tried in turn, starting anywhere */
    const char *name; /* connection name that operators see */
    uint32_t heartbeat_s;
};

/* `reason`: why it went down or is blocked, without secrets; NULL when up. */
typedef void (*bus_state_cb)(enum bus_state state, const char *reason, void *arg);

/* Starts connecting; reconnects with backoff (100 ms to 2 s) over all hosts. NULL: no memory. */
struct bus *bus_open(struct loop *loop, const struct bus_options *options, bus_state_cb cb,
                     void *arg);
/* Closes politely and frees; channels are freed with it, without callbacks, but open questions
 * about the topology are answered with ERR_CLOSED, so that what `arg` holds can be freed. NULL is
 * allowed. */
void bus_close(struct bus *bus);
enum bus_state bus_state(const struct bus *bus);
/* The server's version of the present connection, "" while down. */
const char *bus_server_version(const struct bus *bus);
/* What the last try to connect met, while down: 0 (none has ended yet), ERR_UNAVAILABLE (nobody
 * answers), or what will not mend by itself: ERR_NOT_FOUND (the host has no address), ERR_AUTH (the
 * login is refused). */
int bus_fault(const struct bus *bus);
/* Drops the connection and stays down until bus_resume. If it was up, the channels' `closed` and
 * the state callback come before this returns. */
void bus_suspend(struct bus *bus, const char *reason);
void bus_resume(struct bus *bus);

enum bus_confirm { BUS_ACKED, BUS_NACKED, BUS_RETURNED };

#define BUS_HEADERS_MAX 4

/* A header of a message whose value is text; longer ones are cut. */
struct bus_header {
    char name[32];
    char text[256];
};

/* One delivery. Pointers are valid during the callback. */
struct bus_delivery {
    uint64_t tag;
    bool redelivered;
    const void *body; /* what exceeds body_max of the channel is cut */
    size_t body_len;
    uint64_t body_size;               /* the whole size */
    const char *type;                 /* "" if absent */
    const char *content_type;         /* "" if absent */
    const struct bus_header *headers; /* the first of those that are text */
    size_t header_count;
    int64_t timestamp_s; /* since 1970, as its publisher says; 0: absent */
};

struct bus_channel_events {
    /* The channel is ready: confirms are on, or the queue is consumed. */
    void (*opened)(void *arg);
    /* The channel or its connection is gone, by the other side's doing; deliveries and unconfirmed
     * messages of it are void. Only bus_channel_close may follow. */
    void (*closed)(const char *reason, void *arg);
    /* Publisher: the fate of message `sequence`, exactly once each, in any order. */
    void (*confirmed)(uint64_t sequence, enum bus_confirm result, void *arg);
    /* Consumer. */
    void (*delivered)(const struct bus_delivery *delivery, void *arg);
};

/* A channel with publisher confirms. ERR_UNAVAILABLE while the bus is down. */
MUST_CHECK int bus_publisher_open(struct bus *bus, const struct bus_channel_events *events,
                                  void *arg, struct bus_channel **ret_channel);
/* A channel that consumes `queue` with manual acknowledgement, `prefetch` unacked at most. */
MUST_CHECK int bus_consumer_open(struct bus *bus, const char *queue, uint16_t prefetch,
                                 size_t body_max, const struct bus_channel_events *events,
                                 void *arg, struct bus_channel **ret_channel);
/* Closes (channel.close, never basic.cancel, after the acks sent before) and frees: no callback
 * comes after this, also when called inside one. NULL is allowed. */
void bus_channel_close(struct bus_channel *channel);

struct bus_message {
    const char *exchange;
    const char *routing_key;
    const char *type;         /* NULL: none */
    const char *content_type; /* NULL: none */
    const char *header_name;  /* one header; NULL: none */
    const char *header_text;  /* its value as text, or NULL: … */
    int64_t header_number;    /* … as a number */
    int64_t timestamp_s;      /* since 1970; 0: none */
    const void *body;
    size_t body_len;
};

/*
 * Publishes persistent and mandatory. ERR_UNAVAILABLE: not open, or the bus is blocked; ERR_FULL:
 * the socket's send buffer has no room for it now (librabbitmq would block): try again in a moment.
 */
MUST_CHECK int bus_publish(struct bus_channel *channel, const struct bus_message *message,
                           uint64_t *ret_sequence);
/* Acks `tag`, and with `multiple` all before it on this channel. Lost with the channel, silently.
 */
void bus_ack(struct bus_channel *channel, uint64_t tag, bool multiple);

#ifdef CHECKOUT_PLANTS
/* Gives every eighth delivery back by basic.nack; whether it did. */
bool bus_plant_nack(struct bus_channel *channel, uint64_t tag);
void bus_plant_cancel(struct bus_channel *channel); /* basic.cancel; NULL is allowed */
#else
#define bus_plant_nack(channel, tag) false
#endif

/* Topology: asked on a channel of its own per call. `code`: 0, ERR_NOT_FOUND (404), ERR_CONFLICT
 * (406: it exists with other arguments), ERR_REFUSED (403 and others), ERR_UNAVAILABLE, or
 * ERR_CLOSED from inside bus_close; `text`: the server's. Never called from inside the call that
 * asks. */
typedef void (*bus_reply_cb)(int code, const char *text, uint32_t messages, uint32_t consumers,
                             void *arg);

struct bus_argument {
    const char *name;
    const char *text; /* NULL: it is a number or a boolean */
    int64_t number;
    bool boolean; /* with text NULL: the number is meant as a boolean */
};

MUST_CHECK int bus_declare_exchange(struct bus *bus, const char *name, const char *type,
                                    bool passive, bus_reply_cb cb, void *arg);
/* Durable. Passive: only looks whether it exists and how full it is. */
MUST_CHECK int bus_declare_queue(struct bus *bus, const char *name,
                                 const struct bus_argument *arguments, size_t argument_count,
                                 bool passive, bus_reply_cb cb, void *arg);
MUST_CHECK int bus_bind(struct bus *bus, const char *queue, const char *exchange,
                        const char *routing_key, bus_reply_cb cb, void *arg);

#endif
