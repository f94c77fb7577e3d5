/*
 * RabbitMQ (librabbitmq) on our loop. A broker is one connection that is kept up: resolving and
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
#include "common/net/amqp/broker_message.h"
#include "common/net/tls.h"

struct broker;
struct broker_channel;

enum broker_state {
    BROKER_DOWN,
    BROKER_UP,
    BROKER_BLOCKED, /* up, but the broker takes no publishes (connection.blocked: memory or disk
                     * alarm)
                     */
};

struct broker_options {
    /* amqp://user:password@host:port/vhost[,…], or amqps:// for TLS; tried in turn, starting
     * anywhere */
    const char *urls;
    const char *name; /* connection name that operators see */
    uint32_t heartbeat_s;
    struct tls_files tls; /* for amqps://; the paths outlive the loop */
};

/* `reason`: why it went down or is blocked, without secrets; NULL when up. */
typedef void (*broker_state_cb)(enum broker_state state, const char *reason, void *arg);

/*
 * Starts connecting; reconnects with backoff (100 ms to 2 s) over all hosts, from a random one on,
 * and after a loss to any of the others. A connection that ends within a second of its login does
 * not shorten the backoff. A channel that does not open, or a question about the topology without
 * an answer, ends after 60 s, and the connection with it if nothing was answered for 15 s.
 * NULL: no memory.
 */
struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           broker_state_cb cb, void *arg);
/* Closes politely and frees; channels are freed with it, without callbacks, but open questions
 * about the topology are answered with ERR_CLOSED, so that what `arg` holds can be freed. NULL is
 * allowed. */
void broker_close(struct broker *broker);
enum broker_state broker_state(const struct broker *broker);
/* The server's version of the present connection, "" while down. */
const char *broker_server_version(const struct broker *broker);
/* How many channels the present connection may have, by the server's limit and ours; 0 while down.
 */
uint16_t broker_channels(const struct broker *broker);
/* What the last try to connect met, while down: 0 (none has ended yet), ERR_UNAVAILABLE (no
 * answer), or what will not mend by itself: ERR_NOT_FOUND (the host has no address), ERR_AUTH (the
 * login is refused). */
int broker_fault(const struct broker *broker);
/* Drops the connection and stays down until broker_resume. If it was up, the channels' `closed` and
 * the state callback come before this returns. */
void broker_suspend(struct broker *broker, const char *reason);
void broker_resume(struct broker *broker);
/* Ends a connection that is up but of no use, and connects to another node; as broker_suspend and
 * broker_resume. Nothing is done while down. */
void broker_move(struct broker *broker, const char *reason);
/* The node that it is connected to or last tried, as "host:port"; "" before the first try. */
const char *broker_node(const struct broker *broker);
/* How many nodes its URLs name. */
size_t broker_node_count(const struct broker *broker);

enum broker_confirm { BROKER_ACKED, BROKER_NACKED, BROKER_RETURNED };

struct broker_channel_events {
    /* The channel is ready: confirms are on, or the queue is consumed. */
    void (*opened)(void *arg);
    /* The channel or its connection is gone, by the other side's doing; deliveries and unconfirmed
     * messages of it are void. Only broker_channel_close may follow. */
    void (*closed)(const char *reason, void *arg);
    /* Publisher: the fate of message `sequence`, exactly once each, in any order. */
    void (*confirmed)(uint64_t sequence, enum broker_confirm result, void *arg);
    /* Consumer. */
    void (*delivered)(const struct broker_delivery *delivery, void *arg);
};

/* A channel with publisher confirms. ERR_UNAVAILABLE while the broker is down. */
MUST_CHECK int broker_publisher_open(struct broker *broker,
                                     const struct broker_channel_events *events, void *arg,
                                     struct broker_channel **ret_channel);
/* A channel that consumes `queue` with manual acknowledgement, `prefetch` unacked at most. */
MUST_CHECK int broker_consumer_open(struct broker *broker, const char *queue, uint16_t prefetch,
                                    size_t body_max, const struct broker_channel_events *events,
                                    void *arg, struct broker_channel **ret_channel);
/* Closes (channel.close, never basic.cancel, after the acks sent before) and frees: no callback
 * comes after this, also when called inside one. NULL is allowed. */
void broker_channel_close(struct broker_channel *channel);

/*
 * Publishes persistent and mandatory. ERR_UNAVAILABLE: not open, or the broker is blocked;
 * ERR_FULL: the socket's send buffer has no room for it now (librabbitmq would block): try again in
 * a moment.
 */
MUST_CHECK int broker_publish(struct broker_channel *channel, const struct broker_message *message,
                              uint64_t *ret_sequence);
/* Acks `tag`, and with `multiple` all before it on this channel. Lost with the channel, silently.
 */
void broker_ack(struct broker_channel *channel, uint64_t tag, bool multiple);

#ifdef CHECKOUT_SEEDED_BUGS
/* Gives every eighth delivery back by basic.nack; whether it did. */
bool broker_seed_nack(struct broker_channel *channel, uint64_t tag);
void broker_seed_cancel(struct broker_channel *channel); /* basic.cancel; NULL is allowed */
#else
#define broker_seed_nack(channel, tag) false
#endif

/* Topology: asked on a channel of its own per call. `code`: 0, ERR_NOT_FOUND (404), ERR_CONFLICT
 * (406: it exists with other arguments), ERR_REFUSED (403 and others), ERR_UNAVAILABLE, or
 * ERR_CLOSED from inside broker_close; `text`: the server's. Never called from inside the call that
 * asks. */
typedef void (*broker_reply_cb)(int code, const char *text, uint32_t messages, uint32_t consumers,
                                void *arg);

MUST_CHECK int broker_declare_exchange(struct broker *broker, const char *name, const char *type,
                                       bool passive, broker_reply_cb cb, void *arg);
/* Durable. Passive: only looks whether it exists and how full it is. */
MUST_CHECK int broker_declare_queue(struct broker *broker, const char *name,
                                    const struct broker_argument *arguments, size_t argument_count,
                                    bool passive, broker_reply_cb cb, void *arg);
MUST_CHECK int broker_bind(struct broker *broker, const char *queue, const char *exchange,
                           const char *routing_key, broker_reply_cb cb, void *arg);
/* What is not there is no error. */
MUST_CHECK int broker_unbind(struct broker *broker, const char *queue, const char *exchange,
                             const char *routing_key, broker_reply_cb cb, void *arg);
/* With all that it holds. */
MUST_CHECK int broker_delete_queue(struct broker *broker, const char *name, broker_reply_cb cb,
                                   void *arg);
/* ERR_CONFLICT if a queue is bound to it. */
MUST_CHECK int broker_delete_exchange(struct broker *broker, const char *name, broker_reply_cb cb,
                                      void *arg);

#endif
