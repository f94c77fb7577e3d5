#include "common/net/amqp/broker_rabbit_impl.h"

#if __has_include(<rabbitmq-c/amqp.h>) /* librabbitmq 0.12 and later warn at the bare names */
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "common/base/err.h"
#include "common/base/parse.h"

#define FRAME_OVERHEAD 8        /* of a body frame: header and end */
#define CONSUMER_TAG "checkout" /* a channel has one consumer */

static amqp_bytes_t bytes_of(const char *text)
{
    return amqp_cstring_bytes(text);
}

amqp_table_entry_t rabbit_entry(const struct broker_argument *argument)
{
    amqp_field_value_t value = {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = argument->number}};
    if (argument->text != NULL)
        value = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8,
                                     .value = {.bytes = bytes_of(argument->text)}};
    else if (argument->boolean)
        value = (amqp_field_value_t){.kind = AMQP_FIELD_KIND_BOOLEAN,
                                     .value = {.boolean = argument->number != 0}};
    return (amqp_table_entry_t){bytes_of(argument->name), value};
}

void rabbit_copy_text(char *out, size_t size, const void *text, size_t len)
{
    size_t n = len < size - 1 ? len : size - 1;
    if (n > 0)
        memcpy(out, text, n);
    out[n] = '\0';
}

static void copy_text(char *out, size_t size, amqp_bytes_t text)
{
    rabbit_copy_text(out, size, text.bytes, text.len);
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

static void read_text(struct wire_frame *out, uint16_t code, amqp_bytes_t text)
{
    out->code = code;
    copy_text(out->text, sizeof out->text, text);
}

/* What a method is to us; those that are not here are WIRE_OTHER. */
static enum wire_kind kind_of(amqp_method_number_t id)
{
    static const struct {
        amqp_method_number_t id;
        enum wire_kind kind;
    } kinds[] = {
        {AMQP_BASIC_DELIVER_METHOD, WIRE_DELIVER},
        {AMQP_BASIC_ACK_METHOD, WIRE_ACK},
        {AMQP_BASIC_NACK_METHOD, WIRE_NACK},
        {AMQP_BASIC_RETURN_METHOD, WIRE_RETURN},
        {AMQP_BASIC_CANCEL_METHOD, WIRE_CANCEL},
        {AMQP_CONFIRM_SELECT_OK_METHOD, WIRE_READY},
        {AMQP_BASIC_CONSUME_OK_METHOD, WIRE_READY},
        {AMQP_EXCHANGE_DECLARE_OK_METHOD, WIRE_READY},
        {AMQP_QUEUE_DECLARE_OK_METHOD, WIRE_READY},
        {AMQP_QUEUE_BIND_OK_METHOD, WIRE_READY},
        {AMQP_QUEUE_UNBIND_OK_METHOD, WIRE_READY},
        {AMQP_QUEUE_DELETE_OK_METHOD, WIRE_READY},
        {AMQP_EXCHANGE_DELETE_OK_METHOD, WIRE_READY},
        {AMQP_CHANNEL_CLOSE_METHOD, WIRE_CLOSE},
        {AMQP_CHANNEL_CLOSE_OK_METHOD, WIRE_CLOSE_OK},
        {AMQP_CONNECTION_CLOSE_METHOD, WIRE_DISCONNECT},
        {AMQP_CONNECTION_BLOCKED_METHOD, WIRE_BLOCKED},
        {AMQP_CONNECTION_UNBLOCKED_METHOD, WIRE_UNBLOCKED},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].id == id)
            return kinds[i].kind;
    return WIRE_OTHER;
}

static void read_method(const amqp_method_t *method, struct wire_frame *out)
{
    out->kind = kind_of(method->id);
    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        const amqp_basic_deliver_t *m = method->decoded;
        out->tag = m->delivery_tag;
        out->redelivered = m->redelivered != 0;
    } else if (method->id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *m = method->decoded;
        out->tag = m->delivery_tag;
        out->multiple = m->multiple != 0;
    } else if (method->id == AMQP_BASIC_NACK_METHOD) {
        const amqp_basic_nack_t *m = method->decoded;
        out->tag = m->delivery_tag;
        out->multiple = m->multiple != 0;
    } else if (method->id == AMQP_QUEUE_DECLARE_OK_METHOD) {
        const amqp_queue_declare_ok_t *m = method->decoded;
        out->messages = m->message_count;
        out->consumers = m->consumer_count;
    } else if (out->kind == WIRE_CLOSE) {
        const amqp_channel_close_t *m = method->decoded;
        read_text(out, m->reply_code, m->reply_text);
    } else if (out->kind == WIRE_DISCONNECT) {
        const amqp_connection_close_t *m = method->decoded;
        read_text(out, m->reply_code, m->reply_text);
    } else if (out->kind == WIRE_BLOCKED) {
        const amqp_connection_blocked_t *m = method->decoded;
        read_text(out, 0, m->reason);
    }
}

static void read_headers(const amqp_table_t *table, struct wire_frame *out)
{
    for (int i = 0; i < table->num_entries && out->header_count < BROKER_HEADERS_MAX; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (entry->value.kind != AMQP_FIELD_KIND_UTF8)
            continue;
        amqp_bytes_t text = entry->value.value.bytes;
        out->headers[out->header_count++] =
            (struct wire_header){entry->key.bytes, entry->key.len, text.bytes, text.len};
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
    int64_t id; /* ours are numbers from 1 */
    if ((p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0 &&
        parse_intn(p->message_id.bytes, p->message_id.len, 1, INT64_MAX, &id) == 0)
        out->message_id = (uint64_t)id;
    if ((p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0)
        out->timestamp_s = (int64_t)p->timestamp;
    if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) != 0)
        read_headers(&p->headers, out);
}

int wire_read(struct wire *wire, struct wire_frame *ret_frame, char ret_reason[WIRE_REASON_SIZE])
{
    amqp_frame_t frame;
    int rc = amqp_simple_wait_frame_noblock(wire->connection, &frame, &(struct timeval){0, 0});
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

static int send_method(struct wire *wire, uint16_t channel, amqp_method_number_t id, void *method)
{
    return amqp_send_method(wire->connection, channel, id, method) == AMQP_STATUS_OK ? 0 : ERR_IO;
}

int wire_open_channel(struct wire *wire, uint16_t channel)
{
    return send_method(wire, channel, AMQP_CHANNEL_OPEN_METHOD, &(amqp_channel_open_t){0});
}

int wire_open_publisher(struct wire *wire, uint16_t channel)
{
    int rc = wire_open_channel(wire, channel);
    if (rc == 0)
        rc = send_method(wire, channel, AMQP_CONFIRM_SELECT_METHOD, &(amqp_confirm_select_t){0});
    return rc;
}

int wire_open_consumer(struct wire *wire, uint16_t channel, const char *queue, uint16_t prefetch)
{
    amqp_basic_qos_t qos = {.prefetch_size = 0, .prefetch_count = prefetch, .global = 0};
    amqp_basic_consume_t consume = {.queue = bytes_of(queue),
                                    .consumer_tag = bytes_of(CONSUMER_TAG)};
    int rc = wire_open_channel(wire, channel);
    if (rc == 0)
        rc = send_method(wire, channel, AMQP_BASIC_QOS_METHOD, &qos);
    return rc != 0 ? rc : send_method(wire, channel, AMQP_BASIC_CONSUME_METHOD, &consume);
}

int wire_close_channel(struct wire *wire, uint16_t channel)
{
    amqp_channel_close_t method = {.reply_code = AMQP_REPLY_SUCCESS};
    return send_method(wire, channel, AMQP_CHANNEL_CLOSE_METHOD, &method);
}

int wire_close_ok(struct wire *wire, uint16_t channel)
{
    amqp_channel_close_ok_t method = {0}; /* the connection's has no fields either */
    uint32_t id = channel == 0 ? AMQP_CONNECTION_CLOSE_OK_METHOD : AMQP_CHANNEL_CLOSE_OK_METHOD;
    return send_method(wire, channel, id, &method);
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
        header = rabbit_entry(&(struct broker_argument){message->header_name, message->header_text,
                                                        message->header_number, false});
        p._flags |= AMQP_BASIC_HEADERS_FLAG;
        p.headers = (amqp_table_t){1, &header};
    }
    /* the library only reads the body, but takes it without const */
    amqp_bytes_t body = {message->body_len, (void *)(uintptr_t)message->body};
    if (amqp_basic_publish(wire->connection, channel, bytes_of(message->exchange),
                           bytes_of(message->routing_key), 1, 0, &p, body) != AMQP_STATUS_OK)
        return ERR_IO;
    /* The library sends a last frame that is exactly full as "more follows", and the kernel would
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
    amqp_exchange_declare_t declare = {
        .exchange = bytes_of(name), .type = bytes_of(type), .passive = passive, .durable = 1};
    return send_method(wire, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
}

int wire_declare_queue(struct wire *wire, uint16_t channel, const char *name,
                       const struct broker_argument *arguments, size_t count, bool passive)
{
    amqp_table_entry_t entries[WIRE_ARGUMENTS_MAX];
    if (count > WIRE_ARGUMENTS_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < count; i++)
        entries[i] = rabbit_entry(&arguments[i]);
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
                              .routing_key = bytes_of(routing_key)};
    return send_method(wire, channel, AMQP_QUEUE_BIND_METHOD, &bind);
}

int wire_unbind(struct wire *wire, uint16_t channel, const char *queue, const char *exchange,
                const char *routing_key)
{
    amqp_queue_unbind_t unbind = {.queue = bytes_of(queue),
                                  .exchange = bytes_of(exchange),
                                  .routing_key = bytes_of(routing_key)};
    return send_method(wire, channel, AMQP_QUEUE_UNBIND_METHOD, &unbind);
}

int wire_delete_queue(struct wire *wire, uint16_t channel, const char *name)
{
    amqp_queue_delete_t gone = {.queue = bytes_of(name)};
    return send_method(wire, channel, AMQP_QUEUE_DELETE_METHOD, &gone);
}

int wire_delete_exchange(struct wire *wire, uint16_t channel, const char *name)
{
    amqp_exchange_delete_t gone = {.exchange = bytes_of(name), .if_unused = 1};
    return send_method(wire, channel, AMQP_EXCHANGE_DELETE_METHOD, &gone);
}
