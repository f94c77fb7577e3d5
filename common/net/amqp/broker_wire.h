/*
 * AMQP 0-9-1 as plain structs: what broker_rabbit.c makes of librabbitmq, and all that the rest of
 * the broker sees of it. One struct wire is one connection. Only wire_login… and wire_close block
 * (and belong in a background thread); the rest is for the loop.
 */
#ifndef COMMON_NET_AMQP_BROKER_WIRE_H
#define COMMON_NET_AMQP_BROKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/amqp/broker_message.h"
#include "common/net/amqp/broker_url.h"

#define WIRE_REASON_SIZE 320 /* texts of the server are at most 255 bytes */

struct wire;

/* Logs in on a connected socket, which is taken over also when that fails, within 5 s.
 * ERR_UNAVAILABLE, ERR_AUTH (refused) or ERR_NOMEM with a text in `ret_reason` that holds no
 * secret. Blocks. */
MUST_CHECK int wire_login(int fd, const struct broker_host *host, const char *name,
                          uint32_t heartbeat_s, struct wire **ret_wire,
                          char ret_reason[WIRE_REASON_SIZE]);
/* The same over TLS (amqps://): connects to `address` (of host->host, as numbers) within
 * `timeout_ms` first, and checks who answers there (tls.h). ERR_REFUSED, too: somebody else does.
 */
MUST_CHECK int wire_login_tls(const char *address, int timeout_ms, const struct broker_host *host,
                              const char *name, uint32_t heartbeat_s, struct wire **ret_wire,
                              char ret_reason[WIRE_REASON_SIZE]);
/* connection.close, waits at most 1 s for its answer, frees. Blocks. */
void wire_close(struct wire *wire);
/* Drops the connection and frees. NULL is allowed. */
void wire_free(struct wire *wire);

int wire_fd(const struct wire *wire);
const char *wire_server_version(const struct wire *wire);
/* Channels are numbered from 1 to this. */
uint16_t wire_channel_max(const struct wire *wire);

enum wire_kind {
    WIRE_OTHER,      /* nothing that anybody waits for */
    WIRE_READY,      /* an answer that the caller of a channel waits for: confirms are on, the queue
                        is consumed, the thing is declared (messages, consumers), bound,
                        unbound or deleted */
    WIRE_CLOSE,      /* the server closes the channel (code, text); answer wire_close_ok */
    WIRE_CLOSE_OK,   /* it took our close */
    WIRE_CANCEL,     /* the server ended the consumer: its queue is gone */
    WIRE_DELIVER,    /* tag, redelivered; header and bodies follow on this channel */
    WIRE_RETURN,     /* likewise */
    WIRE_HEADER,     /* size, type, content_type, message_id, timestamp_s, headers */
    WIRE_BODY,       /* data, len */
    WIRE_ACK,        /* tag, multiple */
    WIRE_NACK,       /* tag, multiple */
    WIRE_BLOCKED,    /* text: why */
    WIRE_UNBLOCKED,  /* */
    WIRE_DISCONNECT, /* the server closes the connection: code, text; answer wire_close_ok */
};

#define WIRE_SHORT_MAX 255 /* AMQP's short strings */

/* A header that is text; not NUL-terminated. */
struct wire_header {
    const char *name;
    size_t name_len;
    const char *text;
    size_t text_len;
};

/* One frame. Pointers are valid until wire_release. */
struct wire_frame {
    enum wire_kind kind;
    uint16_t channel;
    uint64_t tag;
    bool multiple;
    bool redelivered;
    uint16_t code;
    uint32_t messages;
    uint32_t consumers;
    uint64_t size;
    const void *data;
    size_t len;
    char text[WIRE_SHORT_MAX + 1]; /* also the type */
    char content_type[WIRE_SHORT_MAX + 1];
    uint64_t message_id; /* 0: none, or not ours */
    int64_t timestamp_s;
    struct wire_header headers[BROKER_HEADERS_MAX];
    size_t header_count;
};

/*
 * Takes the next frame, if one is here, and serves heartbeats, so call it at least four times a
 * heartbeat. 1 with a frame (wire_release it), 0 without, negative: the connection is broken, the
 * text of it in `ret_reason`.
 */
MUST_CHECK int wire_read(struct wire *wire, struct wire_frame *ret_frame,
                         char ret_reason[WIRE_REASON_SIZE]);
void wire_release(struct wire *wire, const struct wire_frame *frame);
/* Whether wire_read has something although the socket may be silent. */
bool wire_pending(const struct wire *wire);
/* Each sends one or a few frames: 0, or ERR_IO when the connection is broken. */
MUST_CHECK int wire_open_publisher(struct wire *wire, uint16_t channel);
MUST_CHECK int wire_open_consumer(struct wire *wire, uint16_t channel, const char *queue,
                                  uint16_t prefetch);
MUST_CHECK int wire_open_channel(struct wire *wire, uint16_t channel);
MUST_CHECK int wire_close_channel(struct wire *wire, uint16_t channel);
/* Answers WIRE_CLOSE, and on channel 0 WIRE_DISCONNECT. */
MUST_CHECK int wire_close_ok(struct wire *wire, uint16_t channel);
/* `message_id` comes back in a WIRE_HEADER if the message is returned. */
MUST_CHECK int wire_publish(struct wire *wire, uint16_t channel,
                            const struct broker_message *message, uint64_t message_id);
MUST_CHECK int wire_ack(struct wire *wire, uint16_t channel, uint64_t tag, bool multiple);
MUST_CHECK int wire_declare_exchange(struct wire *wire, uint16_t channel, const char *name,
                                     const char *type, bool passive);
#define WIRE_ARGUMENTS_MAX 16
MUST_CHECK int wire_declare_queue(struct wire *wire, uint16_t channel, const char *name,
                                  const struct broker_argument *arguments, size_t count,
                                  bool passive);
MUST_CHECK int wire_bind(struct wire *wire, uint16_t channel, const char *queue,
                         const char *exchange, const char *routing_key);

MUST_CHECK int wire_unbind(struct wire *wire, uint16_t channel, const char *queue,
                           const char *exchange, const char *routing_key);
MUST_CHECK int wire_delete_queue(struct wire *wire, uint16_t channel, const char *name);
/* Only if nothing is bound to it. */
MUST_CHECK int wire_delete_exchange(struct wire *wire, uint16_t channel, const char *name);

#ifdef CHECKOUT_SEEDED_BUGS
MUST_CHECK int wire_seed_nack(struct wire *wire, uint16_t channel, uint64_t tag);
MUST_CHECK int wire_seed_cancel(struct wire *wire, uint16_t channel);
#endif

#endif
