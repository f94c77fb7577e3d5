#include "common/base/parse.h"
#include "common/net/amqp/broker_wire.h"

#if __has_include(<rabbitmq-c/amqp.h>) /* librabbitmq 0.12 and later warn at the bare names */
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/net/tcp_connect.h"

/* librabbitmq keeps a page of this size for every channel that it has read from: with 1,024 shards
 * the usual 128 KiB would be too much. */
#define FRAME_MAX (32 * 1024)
#define FRAME_OVERHEAD 8 /* of a body frame: header and end */
#define CONNECT_TIMEOUT_MS 3000
#define HANDSHAKE_TIMEOUT_S 5
#define CLOSE_TIMEOUT_S 1
#define CONSUMER_TAG "checkout" /* a channel has one consumer */
#define SEND_BUFFER (1024 * 1024)

struct wire {
    amqp_connection_state_t connection;
    int fd;
    char version[64];
};

static const struct timeval no_wait = {0, 0};

/* ------------------------------------------------------------------ connecting */

static amqp_bytes_t bytes_of(const char *text)
{
    return amqp_cstring_bytes(text);
}

static amqp_table_entry_t entry_bool(const char *name, bool value)
{
    return (amqp_table_entry_t){bytes_of(name),
                                {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = value}}};
}

static amqp_table_entry_t entry_text(const char *name, const char *value)
{
    return (amqp_table_entry_t){
        bytes_of(name), {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = bytes_of(value)}}};
}

static amqp_table_entry_t entry_number(const char *name, int64_t value)
{
    return (amqp_table_entry_t){bytes_of(name),
                                {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = value}}};
}

static void copy_text(char *out, size_t size, amqp_bytes_t text)
{
    size_t n = text.len < size - 1 ? text.len : size - 1;
    if (n > 0)
        memcpy(out, text.bytes, n);
    out[n] = '\0';
}

/* A send buffer that holds our largest message, and an end to writes that the other side never
 * takes: then no send can hold the loop for longer than that. */
static void tune_socket(int fd, uint32_t heartbeat_s)
{
    int size = 0;
    socklen_t len = sizeof size;
    const int wanted = SEND_BUFFER;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size < wanted)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    unsigned patience_ms = heartbeat_s * 2000;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

/* What went wrong in an answer of the library, as text. */
static void explain_reply(const amqp_rpc_reply_t *reply, char *ret_text, size_t size)
{
    if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply->reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close_method = reply->reply.decoded;
        copy_text(ret_text, size, close_method->reply_text);
        return;
    }
    const char *text = reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                           ? amqp_error_string2(reply->library_error)
                           : "unexpected answer";
    (void)snprintf(ret_text, size, "%s", text);
}

static int log_in(struct wire *wire, const struct broker_host *host, const char *name,
                  uint32_t heartbeat_s, char reason[WIRE_REASON_SIZE])
{
    amqp_table_entry_t offered[] = {
        entry_bool("consumer_cancel_notify", true),
        entry_bool("connection.blocked", true),
        entry_bool("publisher_confirms", true),
        entry_bool("basic.nack", true),
    };
    amqp_table_t capabilities = {(int)ARRAY_LEN(offered), offered};
    amqp_table_entry_t properties[] = {
        {bytes_of("capabilities"),
         {.kind = AMQP_FIELD_KIND_TABLE, .value = {.table = capabilities}}},
        entry_text("connection_name", name),
    };
    amqp_table_t client = {(int)ARRAY_LEN(properties), properties};
    amqp_rpc_reply_t reply = amqp_login_with_properties(
        wire->connection, host->vhost, AMQP_DEFAULT_MAX_CHANNELS, FRAME_MAX, (int)heartbeat_s,
        &client, AMQP_SASL_METHOD_PLAIN, host->user, host->password);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    char text[WIRE_SHORT_MAX + 1];
    explain_reply(&reply, text, sizeof text);
    (void)snprintf(reason, WIRE_REASON_SIZE, "%.40s:%u: login failed: %.230s", host->host,
                   host->port, text);
    return reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION ? ERR_AUTH : ERR_UNAVAILABLE;
}

static void read_version(struct wire *wire)
{
    const amqp_table_t *server = amqp_get_server_properties(wire->connection);
    for (int i = 0; i < server->num_entries; i++) {
        const amqp_table_entry_t *e = &server->entries[i];
        if (e->key.len == 7 && memcmp(e->key.bytes, "version", 7) == 0 &&
            e->value.kind == AMQP_FIELD_KIND_UTF8)
            copy_text(wire->version, sizeof wire->version, e->value.value.bytes);
    }
}

/* Takes over `fd`. */
static int wrap_socket(struct wire *wire, int fd)
{
    wire->connection = amqp_new_connection();
    amqp_socket_t *socket = wire->connection == NULL ? NULL : amqp_tcp_socket_new(wire->connection);
    if (socket == NULL) {
        (void)close(fd);
        return ERR_NOMEM;
    }
    amqp_tcp_socket_set_sockfd(socket, fd);
    wire->fd = fd;
    const struct timeval handshake = {HANDSHAKE_TIMEOUT_S, 0};
    const struct timeval rpc = {CLOSE_TIMEOUT_S, 0};
    return amqp_set_handshake_timeout(wire->connection, &handshake) == AMQP_STATUS_OK &&
                   amqp_set_rpc_timeout(wire->connection, &rpc) == AMQP_STATUS_OK
               ? 0
               : ERR_NOMEM;
}

int wire_connect(const struct broker_host *host, const char *name, uint32_t heartbeat_s,
                 struct wire **ret_wire, char ret_reason[WIRE_REASON_SIZE])
{
    int fd = -1;
    int rc = tcp_connect(host->host, host->port, 0, CONNECT_TIMEOUT_MS, &fd, ret_reason,
                         WIRE_REASON_SIZE);
    if (rc != 0)
        return rc;
    tune_socket(fd, heartbeat_s);
    (void)snprintf(ret_reason, WIRE_REASON_SIZE, "out of memory");
    struct wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL) {
        (void)close(fd);
        return ERR_NOMEM;
    }
    rc = wrap_socket(wire, fd);
    if (rc == 0)
        rc = log_in(wire, host, name, heartbeat_s, ret_reason);
    if (rc != 0) {
        wire_free(wire);
        return rc;
    }
    read_version(wire);
    *ret_wire = wire;
    return 0;
}

void wire_close(struct wire *wire)
{
    (void)amqp_connection_close(wire->connection, AMQP_REPLY_SUCCESS); /* its end is the same */
    wire_free(wire);
}

void wire_free(struct wire *wire)
{
    if (wire == NULL)
        return;
    (void)amqp_destroy_connection(wire->connection); /* takes NULL; closes the socket */
    free(wire);
}

int wire_fd(const struct wire *wire)
{
    return wire->fd;
}

const char *wire_server_version(const struct wire *wire)
{
    return wire->version;
}

uint16_t wire_channel_max(const struct wire *wire)
{
    int most = amqp_get_channel_max(wire->connection);
    return most <= 0 ? UINT16_MAX : (uint16_t)most;
}

/* ------------------------------------------------------------------ reading */

static void read_close(struct wire_frame *out, enum wire_kind kind, uint16_t code,
                       amqp_bytes_t text)
{
    out->kind = kind;
    out->code = code;
    copy_text(out->text, sizeof out->text, text);
}

/* The answers of which more than the arrival counts. */
static void read_answer(const amqp_method_t *method, struct wire_frame *out)
{
    out->kind = WIRE_READY;
    if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *m = method->decoded;
        out->messages = m->message_count;
        out->consumers = m->consumer_count;
    }
}

static void read_settling(const amqp_method_t *method, struct wire_frame *out)
{
    if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *m = method->decoded;
        out->kind = WIRE_ACK;
        out->tag = m->delivery_tag;
        out->multiple = m->multiple != 0;
    } else {
        const amqp_basic_nack_t *m = method->decoded;
        out->kind = WIRE_NACK;
        out->tag = m->delivery_tag;
        out->multiple = m->multiple != 0;
    }
}

/* What concerns the connection, or ends something. */
static void read_control(const amqp_method_t *method, struct wire_frame *out)
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *m = method->decoded;
        read_close(out, WIRE_DISCONNECT, m->reply_code, m->reply_text);
    } else if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *m = method->decoded;
        read_close(out, WIRE_CLOSE, m->reply_code, m->reply_text);
    } else if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const amqp_connection_blocked_t *m = method->decoded;
        read_close(out, WIRE_BLOCKED, 0, m->reason);
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        out->kind = WIRE_UNBLOCKED;
    } else if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
        out->kind = WIRE_CLOSE_OK;
    } else if (method->id == AMQP_BASIC_CANCEL_METHOD) {
        out->kind = WIRE_CANCEL;
    }
}

static void read_method(const amqp_method_t *method, struct wire_frame *out)
{
    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD: {
        const amqp_basic_deliver_t *m = method->decoded;
        out->kind = WIRE_DELIVER;
        out->tag = m->delivery_tag;
        out->redelivered = m->redelivered != 0;
        break;
    }
    case AMQP_BASIC_RETURN_METHOD:
        out->kind = WIRE_RETURN;
        break;
    case AMQP_BASIC_ACK_METHOD:
    case AMQP_BASIC_NACK_METHOD:
        read_settling(method, out);
        break;
    case AMQP_CONFIRM_SELECT_OK_METHOD:
    case AMQP_BASIC_CONSUME_OK_METHOD:
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_DECLARE_OK_METHOD:
    case AMQP_QUEUE_BIND_OK_METHOD:
        read_answer(method, out);
        break;
    default:
        read_control(method, out);
        break;
    }
}

/* Our own message ids are numbers from 1; anything else is 0. */
static uint64_t read_id(amqp_bytes_t text)
{
    int64_t id;
    return parse_intn(text.bytes, text.len, 1, INT64_MAX, &id) == 0 ? (uint64_t)id : 0;
}

static void read_headers(const amqp_table_t *table, struct wire_frame *out)
{
    for (int i = 0; i < table->num_entries && out->header_count < BROKER_HEADERS_MAX; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (entry->value.kind != AMQP_FIELD_KIND_UTF8)
            continue;
        out->headers[out->header_count++] =
            (struct wire_header){.name = entry->key.bytes,
                                 .name_len = entry->key.len,
                                 .text = entry->value.value.bytes.bytes,
                                 .text_len = entry->value.value.bytes.len};
    }
}

static void read_header(const amqp_frame_t *frame, struct wire_frame *out)
{
    const amqp_basic_properties_t *p = frame->payload.properties.decoded;
    out->kind = WIRE_HEADER;
    out->size = frame->payload.properties.body_size;
    if ((p->_flags & AMQP_BASIC_TYPE_FLAG) != 0)
        copy_text(out->text, sizeof out->text, p->type);
    if ((p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG) != 0)
        copy_text(out->content_type, sizeof out->content_type, p->content_type);
    if ((p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0)
        out->message_id = read_id(p->message_id);
    if ((p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0)
        out->timestamp_s = (int64_t)p->timestamp;
    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0)
        read_headers(&p->headers, out);
}

int wire_read(struct wire *wire, struct wire_frame *ret_frame, char ret_reason[WIRE_REASON_SIZE])
{
    amqp_frame_t frame;
    int rc = amqp_simple_wait_frame_noblock(wire->connection, &frame, &no_wait);
    if (rc == AMQP_STATUS_TIMEOUT)
        return 0;
    if (rc != AMQP_STATUS_OK) {
        (void)snprintf(ret_reason, WIRE_REASON_SIZE, "connection lost: %s",
                       rc == AMQP_STATUS_SOCKET_ERROR ? strerror(errno) : amqp_error_string2(rc));
        return ERR_IO;
    }
    *ret_frame = (struct wire_frame){.kind = WIRE_OTHER, .channel = frame.channel};
    if (frame.frame_type == AMQP_FRAME_METHOD) {
        read_method(&frame.payload.method, ret_frame);
    } else if (frame.frame_type == AMQP_FRAME_HEADER) {
        read_header(&frame, ret_frame);
    } else if (frame.frame_type == AMQP_FRAME_BODY) {
        ret_frame->kind = WIRE_BODY;
        ret_frame->data = frame.payload.body_fragment.bytes;
        ret_frame->len = frame.payload.body_fragment.len;
    }
    return 1;
}

void wire_release(struct wire *wire, const struct wire_frame *frame)
{
    amqp_maybe_release_buffers_on_channel(wire->connection, frame->channel);
}

bool wire_pending(const struct wire *wire)
{
    return amqp_frames_enqueued(wire->connection) != 0 ||
           amqp_data_in_buffer(wire->connection) != 0;
}

/* ------------------------------------------------------------------ sending */

bool wire_has_room(const struct wire *wire, size_t bytes)
{
    int queued = 0;
    int size = 0;
    socklen_t len = sizeof size;
    if (ioctl(wire->fd, SIOCOUTQ, &queued) != 0 ||
        getsockopt(wire->fd, SOL_SOCKET, SO_SNDBUF, &size, &len) != 0)
        return true; /* a broken socket: the send itself will say so */
    /* the kernel counts its own overhead in `size`, not in `queued` */
    return (size_t)queued + bytes <= (size_t)size / 4 * 3;
}

static int send_method(struct wire *wire, uint16_t channel, amqp_method_number_t id, void *method)
{
    return amqp_send_method(wire->connection, channel, id, method) == AMQP_STATUS_OK ? 0 : ERR_IO;
}

int wire_open_channel(struct wire *wire, uint16_t channel)
{
    amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
    return send_method(wire, channel, AMQP_CHANNEL_OPEN_METHOD, &open);
}

int wire_open_publisher(struct wire *wire, uint16_t channel)
{
    amqp_confirm_select_t confirm = {.nowait = 0};
    int rc = wire_open_channel(wire, channel);
    return rc != 0 ? rc : send_method(wire, channel, AMQP_CONFIRM_SELECT_METHOD, &confirm);
}

int wire_open_consumer(struct wire *wire, uint16_t channel, const char *queue, uint16_t prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_size = 0, .prefetch_count = prefetch, .global = 0};
    amqp_basic_consume_t consume = {.queue = bytes_of(queue),
                                    .consumer_tag = bytes_of(CONSUMER_TAG),
                                    .arguments = amqp_empty_table};
    int rc = wire_open_channel(wire, channel);
    if (rc == 0)
        rc = send_method(wire, channel, AMQP_BASIC_QOS_METHOD, &qos);
    return rc != 0 ? rc : send_method(wire, channel, AMQP_BASIC_CONSUME_METHOD, &consume);
}

int wire_close_channel(struct wire *wire, uint16_t channel)
{
    amqp_channel_close_t method = {.reply_code = AMQP_REPLY_SUCCESS,
                                   .reply_text = amqp_empty_bytes};
    return send_method(wire, channel, AMQP_CHANNEL_CLOSE_METHOD, &method);
}

int wire_close_ok(struct wire *wire, uint16_t channel)
{
    amqp_channel_close_ok_t method = {0}; /* the connection's has no fields either */
    return send_method(
        wire, channel,
        channel == 0 ? AMQP_CONNECTION_CLOSE_OK_METHOD : AMQP_CHANNEL_CLOSE_OK_METHOD, &method);
}

int wire_ack(struct wire *wire, uint16_t channel, uint64_t tag, bool multiple)
{
    amqp_basic_ack_t ack = {.delivery_tag = tag, .multiple = multiple};
    return send_method(wire, channel, AMQP_BASIC_ACK_METHOD, &ack);
}

#ifdef CHECKOUT_SEEDED_BUGS
int wire_seed_nack(struct wire *wire, uint16_t channel, uint64_t tag)
{
    amqp_basic_nack_t nack = {.delivery_tag = tag, .requeue = 1};
    return send_method(wire, channel, AMQP_BASIC_NACK_METHOD, &nack);
}

int wire_seed_cancel(struct wire *wire, uint16_t channel)
{
    amqp_basic_cancel_t cancel = {.consumer_tag = bytes_of(CONSUMER_TAG)};
    return send_method(wire, channel, AMQP_BASIC_CANCEL_METHOD, &cancel);
}
#endif

int wire_publish(struct wire *wire, uint16_t channel, const struct broker_message *message,
                 uint64_t message_id)
{
    char id[24];
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)message_id);
    amqp_basic_properties_t p = {._flags =
                                     AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
                                 .delivery_mode = AMQP_DELIVERY_PERSISTENT,
                                 .message_id = bytes_of(id)};
    if (message->type != NULL) {
        p._flags |= AMQP_BASIC_TYPE_FLAG;
        p.type = bytes_of(message->type);
    }
    if (message->content_type != NULL) {
        p._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p.content_type = bytes_of(message->content_type);
    }
    if (message->timestamp_s > 0) {
        p._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p.timestamp = (uint64_t)message->timestamp_s;
    }
    amqp_table_entry_t header;
    if (message->header_name != NULL) {
        header = message->header_text != NULL
                     ? entry_text(message->header_name, message->header_text)
                     : entry_number(message->header_name, message->header_number);
        p._flags |= AMQP_BASIC_HEADERS_FLAG;
        p.headers = (amqp_table_t){1, &header};
    }
    /* the library only reads the body, but takes it without const */
    amqp_bytes_t body = {message->body_len, (void *)(uintptr_t)message->body};
    if (amqp_basic_publish(wire->connection, channel, bytes_of(message->exchange),
                           bytes_of(message->routing_key), 1, 0, &p, body) != AMQP_STATUS_OK)
        return ERR_IO;
    /* The library marks a last frame that is exactly full as "more follows", and the kernel would
     * hold it back for up to 200 ms: anything sent behind it pushes it out. If that fails, the
     * connection is broken, which the next call will see. */
    amqp_frame_t push = {.frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0};
    size_t full = (size_t)amqp_get_frame_max(wire->connection) - FRAME_OVERHEAD;
    if (message->body_len > 0 && message->body_len % full == 0)
        (void)amqp_send_frame(wire->connection, &push);
    return 0;
}

int wire_declare_exchange(struct wire *wire, uint16_t channel, const char *name, const char *type,
                          bool passive)
{
    amqp_exchange_declare_t declare = {.exchange = bytes_of(name),
                                       .type = bytes_of(type),
                                       .passive = passive,
                                       .durable = 1,
                                       .arguments = amqp_empty_table};
    return send_method(wire, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
}

int wire_declare_queue(struct wire *wire, uint16_t channel, const char *name,
                       const struct broker_argument *arguments, size_t count, bool passive)
{
    amqp_table_entry_t entries[WIRE_ARGUMENTS_MAX];
    if (count > WIRE_ARGUMENTS_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < count; i++) {
        const struct broker_argument *a = &arguments[i];
        if (a->text != NULL)
            entries[i] = entry_text(a->name, a->text);
        else if (a->boolean)
            entries[i] = entry_bool(a->name, a->number != 0);
        else
            entries[i] = entry_number(a->name, a->number);
    }
    amqp_queue_declare_t declare = {.queue = bytes_of(name),
                                    .passive = passive,
                                    .durable = 1,
                                    .arguments = {(int)count, entries}};
    return send_method(wire, channel, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

int wire_bind(struct wire *wire, uint16_t channel, const char *queue, const char *exchange,
              const char *routing_key)
{
    amqp_queue_bind_t bind = {.queue = bytes_of(queue),
                              .exchange = bytes_of(exchange),
                              .routing_key = bytes_of(routing_key),
                              .arguments = amqp_empty_table};
    return send_method(wire, channel, AMQP_QUEUE_BIND_METHOD, &bind);
}
