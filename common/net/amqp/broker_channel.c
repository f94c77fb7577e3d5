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

struct bus_channel {
    struct bus *bus;
    uint16_t number; /* 0: it has none any more */
    enum channel_state state;
    bool released; /* by its owner: it hears nothing more */
    struct bus_channel_events events;
    void *arg;
    struct bus_channel *next_dead;

    enum intake intake;
    struct bus_delivery delivery;
    uint64_t body_left;
    struct buf body;
    char type[WIRE_SHORT_MAX + 1];
    char content_type[WIRE_SHORT_MAX + 1];
    struct bus_header *headers; /* NULL until a message has some */

    struct bus_confirms confirms;

    bus_reply_cb reply; /* a question about the topology; NULL for the others */
};

/* ------------------------------------------------------------------ numbers and memory */

/* A number that is nobody's, 0 if there is none. Starts behind the last one given, so that a number
 * rests before it is used again. */
static uint16_t free_number(struct bus *bus)
{
    uint16_t number = bus->last_number;
    for (uint32_t i = 0; i < bus->channel_max; i++) {
        number = number >= bus->channel_max ? 1 : (uint16_t)(number + 1);
        if (bus->channels[number] == NULL && !bus->closing[number]) {
            bus->last_number = number;
            return number;
        }
    }
    return 0;
}

static int channel_new(struct bus *bus, struct bus_channel **ret_channel)
{
    if (bus->wire == NULL || bus->broken || bus->state == BUS_DOWN)
        return ERR_UNAVAILABLE;
    if (!wire_has_room(bus->wire, SMALL_FRAME))
        return ERR_UNAVAILABLE;
    uint16_t number = free_number(bus);
    if (number == 0)
        return ERR_FULL;
    struct bus_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return ERR_NOMEM;
    channel->bus = bus;
    channel->number = number;
    bus->channels[number] = channel;
    bus_confirms_init(&channel->confirms);
    *ret_channel = channel;
    return 0;
}

static void channel_free(struct bus_channel *channel)
{
    buf_free(&channel->body);
    bus_confirms_free(&channel->confirms);
    free(channel->headers);
    free(channel);
}

/* Its owner, or the owner of the whole bus, wants to hear nothing more. */
static bool silent(const struct bus_channel *channel)
{
    return channel->released || channel->bus->freed;
}

/* Takes the channel's number away; `closing`: the number rests until our close is answered. */
static void detach(struct bus_channel *channel, bool closing)
{
    struct bus *bus = channel->bus;
    if (channel->number == 0)
        return;
    bus->channels[channel->number] = NULL;
    bus->closing[channel->number] = closing;
    channel->number = 0;
    channel->state = CHANNEL_DEAD;
}

void bus_graveyard_clear(struct bus *bus)
{
    while (bus->graveyard != NULL) {
        struct bus_channel *channel = bus->graveyard;
        bus->graveyard = channel->next_dead;
        channel_free(channel);
    }
}

/* Frees the channel when no callback can still be using it. */
static void bury(struct bus_channel *channel)
{
    struct bus *bus = channel->bus;
    channel->released = true;
    channel->next_dead = bus->graveyard;
    bus->graveyard = channel;
    bus_enter(bus);
    bus_leave(bus);
}

/* The other side ended it: says so, once. */
static void channel_gone(struct bus_channel *channel, int code, const char *reason)
{
    if (silent(channel))
        return;
    if (channel->reply != NULL) {
        bus_reply_cb reply = channel->reply;
        channel->released = true;
        reply(code, reason, 0, 0, channel->arg);
        bury(channel);
        return;
    }
    if (channel->events.closed != NULL)
        channel->events.closed(reason, channel->arg);
}

void bus_channels_lost(struct bus *bus, const char *reason)
{
    if (bus->channels == NULL)
        return;
    for (uint32_t i = 1; i <= bus->channel_max; i++) {
        struct bus_channel *channel = bus->channels[i];
        bus->closing[i] = false;
        if (channel == NULL)
            continue;
        detach(channel, false);
        channel_gone(channel, ERR_UNAVAILABLE, reason);
    }
}

void bus_questions_end(struct bus *bus)
{
    for (uint32_t i = 1; bus->channels != NULL && i <= bus->channel_max; i++) {
        struct bus_channel *channel = bus->channels[i];
        if (channel == NULL || channel->reply == NULL || channel->released)
            continue;
        channel->released = true; /* it stays in its place, to be freed with the rest */
        channel->reply(ERR_CLOSED, "the connection is being closed", 0, 0, channel->arg);
    }
}

void bus_channels_free(struct bus *bus)
{
    for (uint32_t i = 1; i <= bus->channel_max; i++)
        if (bus->channels[i] != NULL)
            channel_free(bus->channels[i]);
}

/* ------------------------------------------------------------------ messages that arrive */

static void deliver(struct bus_channel *channel)
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
static void keep_headers(struct bus_channel *channel, const struct wire_frame *frame)
{
    channel->delivery.header_count = 0;
    if (frame->header_count > 0 && channel->headers == NULL)
        channel->headers = calloc(BUS_HEADERS_MAX, sizeof *channel->headers);
    if (frame->header_count == 0 || channel->headers == NULL)
        return;
    for (size_t i = 0; i < frame->header_count; i++) {
        const struct wire_header *from = &frame->headers[i];
        struct bus_header *to = &channel->headers[i];
        copy_cut(to->name, sizeof to->name, from->name, from->name_len);
        copy_cut(to->text, sizeof to->text, from->text, from->text_len);
    }
    channel->delivery.headers = channel->headers;
    channel->delivery.header_count = frame->header_count;
}

static void on_header(struct bus_channel *channel, const struct wire_frame *frame)
{
    enum intake was = channel->intake;
    channel->body_left = frame->size;
    channel->intake = frame->size > 0 ? INTAKE_SKIP : INTAKE_NONE;
    if (was == INTAKE_RETURN_HEADER) {
        bus_confirms_returned(&channel->confirms, frame->message_id);
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

static void on_body(struct bus_channel *channel, const struct wire_frame *frame)
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
            bus_break(channel->bus, "out of memory for a message");
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

static void on_settled(struct bus_channel *channel, const struct wire_frame *frame)
{
    uint64_t sequence;
    bool returned;
    while (
        !channel->released && channel->state == CHANNEL_OPEN &&
        bus_confirms_take(&channel->confirms, frame->tag, frame->multiple, &sequence, &returned)) {
        enum bus_confirm result = frame->kind == WIRE_NACK ? BUS_NACKED : BUS_ACKED;
        if (returned)
            result = BUS_RETURNED;
        channel->events.confirmed(sequence, result, channel->arg);
    }
}

static void on_ready(struct bus_channel *channel, const struct wire_frame *frame)
{
    channel->state = CHANNEL_OPEN;
    if (channel->reply != NULL) {
        bus_reply_cb reply = channel->reply;
        void *arg = channel->arg;
        uint32_t messages = frame->messages;
        uint32_t consumers = frame->consumers;
        bus_channel_close(channel);
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

static void on_closed(struct bus_channel *channel, const struct wire_frame *frame)
{
    struct bus *bus = channel->bus;
    if (wire_close_ok(bus->wire, frame->channel) != 0)
        bus_break(bus, "cannot answer channel.close");
    detach(channel, false);
    channel_gone(channel, code_of(frame->code), frame->text);
}

/* Frames for a number whose channel we have closed: only the end of it counts. */
static void on_frame_of_closed(struct bus *bus, const struct wire_frame *frame)
{
    if (frame->kind == WIRE_CLOSE_OK)
        bus->closing[frame->channel] = false;
    else if (frame->kind == WIRE_CLOSE && wire_close_ok(bus->wire, frame->channel) != 0)
        bus_break(bus, "cannot answer channel.close"); /* both closed: our answer still comes */
}

void bus_channel_frame(struct bus *bus, const struct wire_frame *frame)
{
    if (frame->channel > bus->channel_max)
        return;
    struct bus_channel *channel = bus->channels[frame->channel];
    if (channel == NULL) {
        on_frame_of_closed(bus, frame);
        return;
    }
    if (frame->kind == WIRE_DELIVER) {
        channel->intake = INTAKE_DELIVER_HEADER;
        channel->delivery =
            (struct bus_delivery){.tag = frame->tag, .redelivered = frame->redelivered};
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
static int open_failed(struct bus_channel *channel)
{
    struct bus *bus = channel->bus;
    detach(channel, true);
    channel_free(channel);
    bus_break(bus, "cannot send to the broker");
    return ERR_UNAVAILABLE;
}

int bus_publisher_open(struct bus *bus, const struct bus_channel_events *events, void *arg,
                       struct bus_channel **ret_channel)
{
    struct bus_channel *channel;
    int rc = channel_new(bus, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    if (wire_open_publisher(bus->wire, channel->number) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

int bus_consumer_open(struct bus *bus, const char *queue, uint16_t prefetch, size_t body_max,
                      const struct bus_channel_events *events, void *arg,
                      struct bus_channel **ret_channel)
{
    struct bus_channel *channel;
    int rc = channel_new(bus, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    buf_init(&channel->body, body_max);
    if (wire_open_consumer(bus->wire, channel->number, queue, prefetch) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

void bus_channel_close(struct bus_channel *channel)
{
    if (channel == NULL || channel->released)
        return;
    struct bus *bus = channel->bus;
    uint16_t number = channel->number;
    detach(channel, true);
    if (number != 0 && bus->wire != NULL && wire_close_channel(bus->wire, number) != 0)
        bus_break(bus, "cannot send to the broker");
    bury(channel);
}

int bus_publish(struct bus_channel *channel, const struct bus_message *message,
                uint64_t *ret_sequence)
{
    struct bus *bus = channel->bus;
    if (channel->state != CHANNEL_OPEN || channel->number == 0 || bus->broken ||
        bus->state != BUS_UP)
        return ERR_UNAVAILABLE;
    /* a frame's overhead for every few kilobytes is far below this reserve */
    if (!wire_has_room(bus->wire, message->body_len + message->body_len / 64 + SMALL_FRAME))
        return ERR_FULL;
    uint64_t sequence;
    int rc = bus_confirms_add(&channel->confirms, &sequence);
    if (rc != 0)
        return rc;
    if (wire_publish(bus->wire, channel->number, message, sequence) != 0) {
        bus_confirms_undo(&channel->confirms);
        bus_break(bus, "cannot send to the broker");
        return ERR_UNAVAILABLE;
    }
    *ret_sequence = sequence;
    return 0;
}

void bus_ack(struct bus_channel *channel, uint64_t tag, bool multiple)
{
    struct bus *bus = channel->bus;
    if (channel->number == 0 || bus->wire == NULL || bus->broken)
        return;
    if (!wire_has_room(bus->wire, SMALL_FRAME))
        bus_break(bus, "the broker does not read what we send");
    else if (wire_ack(bus->wire, channel->number, tag, multiple) != 0)
        bus_break(bus, "cannot send to the broker");
}

#ifdef CHECKOUT_PLANTS
bool bus_plant_nack(struct bus_channel *channel, uint64_t tag)
{
    if (channel == NULL || channel->bus->wire == NULL || !plant_once_in(8))
        return false;
    return wire_plant_nack(channel->bus->wire, channel->number, tag) == 0;
}

void bus_plant_cancel(struct bus_channel *channel)
{
    if (channel != NULL && channel->bus->wire != NULL &&
        wire_plant_cancel(channel->bus->wire, channel->number) != 0)
        bus_break(channel->bus, "cannot send to the broker");
}
#endif

/* ------------------------------------------------------------------ topology */

static int question_new(struct bus *bus, bus_reply_cb cb, void *arg,
                        struct bus_channel **ret_channel)
{
    struct bus_channel *channel;
    int rc = channel_new(bus, &channel);
    if (rc != 0)
        return rc;
    channel->reply = cb;
    channel->arg = arg;
    if (wire_open_channel(bus->wire, channel->number) != 0)
        return open_failed(channel);
    *ret_channel = channel;
    return 0;
}

static int question_sent(struct bus_channel *channel, int rc)
{
    return rc == 0 ? 0 : open_failed(channel);
}

int bus_declare_exchange(struct bus *bus, const char *name, const char *type, bool passive,
                         bus_reply_cb cb, void *arg)
{
    struct bus_channel *channel;
    int rc = question_new(bus, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel,
                         wire_declare_exchange(bus->wire, channel->number, name, type, passive));
}

int bus_declare_queue(struct bus *bus, const char *name, const struct bus_argument *arguments,
                      size_t argument_count, bool passive, bus_reply_cb cb, void *arg)
{
    struct bus_channel *channel;
    if (argument_count > WIRE_ARGUMENTS_MAX)
        return ERR_INVALID;
    int rc = question_new(bus, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel, wire_declare_queue(bus->wire, channel->number, name, arguments,
                                                     argument_count, passive));
}

int bus_bind(struct bus *bus, const char *queue, const char *exchange, const char *routing_key,
             bus_reply_cb cb, void *arg)
{
    struct bus_channel *channel;
    int rc = question_new(bus, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel,
                         wire_bind(bus->wire, channel->number, queue, exchange, routing_key));
}
