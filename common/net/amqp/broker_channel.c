#include "common/net/amqp/broker_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/testing/seeded_bug.h"

#define SMALL_FRAME 1024 /* more than any method without a body of ours needs */

enum channel_state { CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_DEAD };

/* What of a message (delivered or returned) is being put together. */
enum intake { INTAKE_NONE, INTAKE_DELIVER_HEADER, INTAKE_RETURN_HEADER, INTAKE_BODY, INTAKE_SKIP };

struct broker_channel {
    struct broker *broker;
    uint16_t number; /* 0: it has none any more */
    enum channel_state state;
    bool released; /* by its owner: it hears nothing more */
    struct broker_channel_events events;
    void *arg;
    struct broker_channel *next_dead;

    enum intake intake;
    struct broker_delivery delivery;
    uint64_t body_left;
    struct buf body;
    char type[WIRE_SHORT_MAX + 1];
    char content_type[WIRE_SHORT_MAX + 1];
    struct broker_header *headers; /* NULL until a message has some */

    struct broker_confirms confirms;

    broker_reply_cb reply; /* a question about the topology; NULL for the others */
};

/* ------------------------------------------------------------------ numbers and memory */

/* A number that is nobody's, 0 if there is none. Starts behind the last one given, so that a number
 * rests before it is used again. */
static uint16_t free_number(struct broker *broker)
{
    uint16_t number = broker->last_number;
    for (uint32_t i = 0; i < broker->channel_max; i++) {
        number = number >= broker->channel_max ? 1 : (uint16_t)(number + 1);
        if (broker->channels[number] == NULL && !broker->closing[number]) {
            broker->last_number = number;
            return number;
        }
    }
    return 0;
}

static int channel_new(struct broker *broker, struct broker_channel **ret_channel)
{
    if (broker->wire == NULL || broker->broken || broker->state == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    if (!wire_has_room(broker->wire, SMALL_FRAME))
        return ERR_UNAVAILABLE;
    uint16_t number = free_number(broker);
    if (number == 0)
        return ERR_FULL;
    struct broker_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return ERR_NOMEM;
    channel->broker = broker;
    channel->number = number;
    broker->channels[number] = channel;
    broker_confirms_init(&channel->confirms);
    *ret_channel = channel;
    return 0;
}

static void channel_free(struct broker_channel *channel)
{
    buf_free(&channel->body);
    broker_confirms_free(&channel->confirms);
    free(channel->headers);
    free(channel);
}

/* Its owner, or the owner of the whole broker, wants to hear nothing more. */
static bool silent(const struct broker_channel *channel)
{
    return channel->released || channel->broker->freed;
}

/* Takes the channel's number away; `closing`: the number rests until our close is answered. */
static void detach(struct broker_channel *channel, bool closing)
{
    struct broker *broker = channel->broker;
    if (channel->number == 0)
        return;
    broker->channels[channel->number] = NULL;
    broker->closing[channel->number] = closing;
    channel->number = 0;
    channel->state = CHANNEL_DEAD;
}

void broker_graveyard_clear(struct broker *broker)
{
    while (broker->graveyard != NULL) {
        struct broker_channel *channel = broker->graveyard;
        broker->graveyard = channel->next_dead;
        channel_free(channel);
    }
}

/* Frees the channel when no callback can still be using it. */
static void bury(struct broker_channel *channel)
{
    struct broker *broker = channel->broker;
    channel->released = true;
    channel->next_dead = broker->graveyard;
    broker->graveyard = channel;
    broker_enter(broker);
    broker_leave(broker);
}

/* The other side ended it: says so, once. */
static void channel_gone(struct broker_channel *channel, int code, const char *reason)
{
    if (silent(channel))
        return;
    if (channel->reply != NULL) {
        broker_reply_cb reply = channel->reply;
        channel->released = true;
        reply(code, reason, 0, 0, channel->arg);
        bury(channel);
        return;
    }
    if (channel->events.closed != NULL)
        channel->events.closed(reason, channel->arg);
}

void broker_channels_lost(struct broker *broker, const char *reason)
{
    if (broker->channels == NULL)
        return;
    for (uint32_t i = 1; i <= broker->channel_max; i++) {
        struct broker_channel *channel = broker->channels[i];
        broker->closing[i] = false;
        if (channel == NULL)
            continue;
        detach(channel, false);
        channel_gone(channel, ERR_UNAVAILABLE, reason);
    }
}

void broker_questions_end(struct broker *broker)
{
    for (uint32_t i = 1; broker->channels != NULL && i <= broker->channel_max; i++) {
        struct broker_channel *channel = broker->channels[i];
        if (channel == NULL || channel->reply == NULL || channel->released)
            continue;
        channel->released = true; /* it stays in its place, to be freed with the rest */
        channel->reply(ERR_CLOSED, "the connection is being closed", 0, 0, channel->arg);
    }
}

void broker_channels_free(struct broker *broker)
{
    for (uint32_t i = 1; i <= broker->channel_max; i++)
        if (broker->channels[i] != NULL)
            channel_free(broker->channels[i]);
}

/* ------------------------------------------------------------------ messages that arrive */

static void deliver(struct broker_channel *channel)
{
    channel->intake = INTAKE_NONE;
    if (!silent(channel) && channel->events.delivered != NULL)
        channel->events.delivered(&channel->delivery, channel->arg);
}

static void copy_cut(char *out, size_t size, const char *text, size_t len)
{
    size_t kept = len < size - 1 ? len : size - 1;
    memcpy(out, text, kept);
    out[kept] = '\0';
}

/* Without memory for them the message comes without its headers. */
static void keep_headers(struct broker_channel *channel, const struct wire_frame *frame)
{
    channel->delivery.header_count = 0;
    if (frame->header_count > 0 && channel->headers == NULL)
        channel->headers = calloc(BROKER_HEADERS_MAX, sizeof *channel->headers);
    if (frame->header_count == 0 || channel->headers == NULL)
        return;
    for (size_t i = 0; i < frame->header_count; i++) {
        const struct wire_header *from = &frame->headers[i];
        struct broker_header *to = &channel->headers[i];
        copy_cut(to->name, sizeof to->name, from->name, from->name_len);
        copy_cut(to->text, sizeof to->text, from->text, from->text_len);
    }
    channel->delivery.headers = channel->headers;
    channel->delivery.header_count = frame->header_count;
}

static void on_header(struct broker_channel *channel, const struct wire_frame *frame)
{
    enum intake was = channel->intake;
    channel->body_left = frame->size;
    channel->intake = frame->size > 0 ? INTAKE_SKIP : INTAKE_NONE;
    if (was == INTAKE_RETURN_HEADER) {
        broker_confirms_returned(&channel->confirms, frame->message_id);
        return;
    }
    if (was != INTAKE_DELIVER_HEADER)
        return; /* a header that nothing announced: its bodies are skipped */
    memcpy(channel->type, frame->text, sizeof channel->type);
    memcpy(channel->content_type, frame->content_type, sizeof channel->content_type);
    channel->delivery.type = channel->type;
    channel->delivery.content_type = channel->content_type;
    channel->delivery.body_size = frame->size;
    channel->delivery.timestamp_s = frame->timestamp_s;
    keep_headers(channel, frame);
    channel->delivery.body = "";
    channel->delivery.body_len = 0;
    buf_reset(&channel->body);
    channel->intake = INTAKE_BODY;
    if (frame->size == 0)
        deliver(channel);
}

static void on_body(struct broker_channel *channel, const struct wire_frame *frame)
{
    bool first = channel->body_left == channel->delivery.body_size && channel->body.len == 0;
    channel->body_left -= frame->len < channel->body_left ? frame->len : channel->body_left;
    if (channel->intake == INTAKE_BODY) {
        size_t room = channel->body.max - channel->body.len;
        size_t len = frame->len < room ? frame->len : room;
        if (first && channel->body_left == 0) { /* the usual case: no need to copy */
            channel->delivery.body = frame->data;
            channel->delivery.body_len = len;
            deliver(channel);
            return;
        }
        if (len > 0 && buf_append(&channel->body, frame->data, len) != 0) {
            broker_break(channel->broker, "out of memory for a message");
            return;
        }
        channel->delivery.body = buf_text(&channel->body);
        channel->delivery.body_len = channel->body.len;
    }
    if (channel->body_left > 0)
        return;
    if (channel->intake == INTAKE_BODY)
        deliver(channel);
    else
        channel->intake = INTAKE_NONE;
}

/* ------------------------------------------------------------------ frames */

static void on_settled(struct broker_channel *channel, const struct wire_frame *frame)
{
    uint64_t sequence;
    bool returned;
    while (!channel->released && channel->state == CHANNEL_OPEN &&
           broker_confirms_take(&channel->confirms, frame->tag, frame->multiple, &sequence,
                                &returned)) {
        enum broker_confirm result = frame->kind == WIRE_NACK ? BROKER_NACKED : BROKER_ACKED;
        if (returned)
            result = BROKER_RETURNED;
        channel->events.confirmed(sequence, result, channel->arg);
    }
}

static void on_ready(struct broker_channel *channel, const struct wire_frame *frame)
{
    channel->state = CHANNEL_OPEN;
    if (channel->reply != NULL) {
        broker_reply_cb reply = channel->reply;
        void *arg = channel->arg;
        uint32_t messages = frame->messages;
        uint32_t consumers = frame->consumers;
        broker_channel_close(channel);
        reply(0, "", messages, consumers, arg);
    } else if (channel->events.opened != NULL) {
        channel->events.opened(channel->arg);
    }
}

static int code_of(uint16_t amqp_code)
{
    if (amqp_code == 404)
        return ERR_NOT_FOUND;
    return amqp_code == 406 ? ERR_CONFLICT : ERR_REFUSED;
}

static void on_closed(struct broker_channel *channel, const struct wire_frame *frame)
{
    struct broker *broker = channel->broker;
    if (wire_close_ok(broker->wire, frame->channel) != 0)
        broker_break(broker, "cannot answer channel.close");
    detach(channel, false);
    channel_gone(channel, code_of(frame->code), frame->text);
}

/* Frames for a number whose channel we have closed: only the end of it counts. */
static void on_frame_of_closed(struct broker *broker, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_CLOSE_OK)
        broker->closing[frame->channel] = false;
    else if (frame->kind == WIRE_CLOSE && wire_close_ok(broker->wire, frame->channel) != 0)
        broker_break(broker,
                     "cannot answer channel.close"); /* both closed: our answer still comes */
}

void broker_channel_frame(struct broker *broker, const struct wire_frame *frame)
{
    if (frame->channel > broker->channel_max)
        return;
    struct broker_channel *channel = broker->channels[frame->channel];
    if (channel == NULL) {
        on_frame_of_closed(broker, frame);
        return;
    }
    if (frame->kind == WIRE_DELIVER) {
        channel->intake = INTAKE_DELIVER_HEADER;
        channel->delivery =
            (struct broker_delivery){.tag = frame->tag, .redelivered = frame->redelivered};
    } else if (frame->kind == WIRE_RETURN) {
        channel->intake = INTAKE_RETURN_HEADER;
    } else if (frame->kind == WIRE_HEADER) {
        on_header(channel, frame);
    } else if (frame->kind == WIRE_BODY) {
        on_body(channel, frame);
    } else if (frame->kind == WIRE_ACK || frame->kind == WIRE_NACK) {
        on_settled(channel, frame);
    } else if (frame->kind == WIRE_READY) {
        on_ready(channel, frame);
    } else if (frame->kind == WIRE_CLOSE) {
        on_closed(channel, frame);
    } else if (frame->kind == WIRE_CANCEL) {
        channel->state = CHANNEL_DEAD; /* its number goes when its owner closes it */
        channel_gone(channel, ERR_NOT_FOUND, "the queue is gone (basic.cancel)");
    }
}

/* ------------------------------------------------------------------ what owners call */

/* Ends an opening that could not be sent. */
static int open_failed(struct broker_channel *channel)
{
    struct broker *broker = channel->broker;
    detach(channel, true);
    channel_free(channel);
    broker_break(broker, "cannot send to the broker");
    return ERR_UNAVAILABLE;
}

int broker_publisher_open(struct broker *broker, const struct broker_channel_events *events,
                          void *arg, struct broker_channel **ret_channel)
{
    struct broker_channel *channel;
    int rc = channel_new(broker, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    if (wire_open_publisher(broker->wire, channel->number) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

int broker_consumer_open(struct broker *broker, const char *queue, uint16_t prefetch,
                         size_t body_max, const struct broker_channel_events *events, void *arg,
                         struct broker_channel **ret_channel)
{
    struct broker_channel *channel;
    int rc = channel_new(broker, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    buf_init(&channel->body, body_max);
    if (wire_open_consumer(broker->wire, channel->number, queue, prefetch) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

void broker_channel_close(struct broker_channel *channel)
{
    if (channel == NULL || channel->released)
        return;
    struct broker *broker = channel->broker;
    uint16_t number = channel->number;
    detach(channel, true);
    if (number != 0 && broker->wire != NULL && wire_close_channel(broker->wire, number) != 0)
        broker_break(broker, "cannot send to the broker");
    bury(channel);
}

int broker_publish(struct broker_channel *channel, const struct broker_message *message,
                   uint64_t *ret_sequence)
{
    struct broker *broker = channel->broker;
    if (channel->state != CHANNEL_OPEN || channel->number == 0 || broker->broken ||
        broker->state != BROKER_UP)
        return ERR_UNAVAILABLE;
    /* a frame's overhead for every few kilobytes is far below this reserve */
    if (!wire_has_room(broker->wire, message->body_len + message->body_len / 64 + SMALL_FRAME))
        return ERR_FULL;
    uint64_t sequence;
    int rc = broker_confirms_add(&channel->confirms, &sequence);
    if (rc != 0)
        return rc;
    if (wire_publish(broker->wire, channel->number, message, sequence) != 0) {
        broker_confirms_undo(&channel->confirms);
        broker_break(broker, "cannot send to the broker");
        return ERR_UNAVAILABLE;
    }
    *ret_sequence = sequence;
    return 0;
}

void broker_ack(struct broker_channel *channel, uint64_t tag, bool multiple)
{
    struct broker *broker = channel->broker;
    if (channel->number == 0 || broker->wire == NULL || broker->broken)
        return;
    if (!wire_has_room(broker->wire, SMALL_FRAME))
        broker_break(broker, "the broker does not read what we send");
    else if (wire_ack(broker->wire, channel->number, tag, multiple) != 0)
        broker_break(broker, "cannot send to the broker");
}

#ifdef CHECKOUT_SEEDED_BUGS
bool broker_seed_nack(struct broker_channel *channel, uint64_t tag)
{
    if (channel == NULL || channel->broker->wire == NULL || !seeded_bug_once_in(8))
        return false;
    return wire_seed_nack(channel->broker->wire, channel->number, tag) == 0;
}

void broker_seed_cancel(struct broker_channel *channel)
{
    if (channel != NULL && channel->broker->wire != NULL &&
        wire_seed_cancel(channel->broker->wire, channel->number) != 0)
        broker_break(channel->broker, "cannot send to the broker");
}
#endif

/* ------------------------------------------------------------------ topology */

static int question_new(struct broker *broker, broker_reply_cb cb, void *arg,
                        struct broker_channel **ret_channel)
{
    struct broker_channel *channel;
    int rc = channel_new(broker, &channel);
    if (rc != 0)
        return rc;
    channel->reply = cb;
    channel->arg = arg;
    if (wire_open_channel(broker->wire, channel->number) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

static int question_sent(struct broker_channel *channel, int rc)
{
    return rc == 0 ? 0 : open_failed(channel);
}

int broker_declare_exchange(struct broker *broker, const char *name, const char *type, bool passive,
                            broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel,
                         wire_declare_exchange(broker->wire, channel->number, name, type, passive));
}

int broker_declare_queue(struct broker *broker, const char *name,
                         const struct broker_argument *arguments, size_t argument_count,
                         bool passive, broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    if (argument_count > WIRE_ARGUMENTS_MAX)
        return ERR_INVALID;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel, wire_declare_queue(broker->wire, channel->number, name, arguments,
                                                     argument_count, passive));
}

int broker_bind(struct broker *broker, const char *queue, const char *exchange,
                const char *routing_key, broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel,
                         wire_bind(broker->wire, channel->number, queue, exchange, routing_key));
}
