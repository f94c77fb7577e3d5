#include "common/net/amqp/broker_impl.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/testing/seeded_bug.h"

/* The other side answers nothing of what it is asked: the connection is of no use. Longer than the
 * 10 s after which the owners of publishing channels move to another node. */
#define MUTE_MS 15000
/* Others are answered: a queue without a leader lets its consumers wait, which is not the
 * connection's fault. */
#define ANSWER_MS 60000

#define RESTING 8 /* numbers of channels, beside those in use */

/* ------------------------------------------------------------------ numbers and memory */

static bool is_taken(const struct broker *broker, uint32_t number)
{
    return broker->channels[number] != NULL || broker->closing[number];
}

/* The library keeps memory for each number that was ever used, so few are. */
static uint32_t numbers_used(const struct broker *broker)
{
    uint32_t used = RESTING;
    for (uint32_t number = 1; number <= broker->channel_max; number++)
        used += is_taken(broker, number);
    return used < broker->channel_max ? used : broker->channel_max;
}

/* A number that no channel has, 0 if there is none. Starts behind the last one given, so that a
 * number rests before it is used again. */
static uint16_t free_number(struct broker *broker)
{
    uint16_t number = broker->last_number;
    uint32_t used = numbers_used(broker);
    for (uint32_t i = 0; i < used; i++) {
        number = number >= used ? 1 : (uint16_t)(number + 1);
        if (!is_taken(broker, number)) {
            broker->last_number = number;
            return number;
        }
    }
    return 0;
}

int broker_channel_new(struct broker *broker, size_t body_max, struct broker_channel **ret_channel)
{
    if (!broker_is_usable(broker) || !broker_take_room(broker, BROKER_SMALL_FRAME))
        return ERR_UNAVAILABLE;
    uint16_t number = free_number(broker);
    if (number == 0)
        return ERR_FULL;
    struct broker_channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL)
        return ERR_NOMEM;
    channel->broker = broker;
    channel->number = number;
    channel->asked_ms = clock_mono_ms();
    broker->channels[number] = channel;
    broker_confirms_init(&channel->confirms);
    broker_assembly_init(&channel->assembly, body_max);
    *ret_channel = channel;
    return 0;
}

static void channel_free(struct broker_channel *channel)
{
    broker_assembly_free(&channel->assembly);
    broker_confirms_free(&channel->confirms);
    free(channel);
}

/* Its owner, or the owner of the whole broker, wants to hear nothing more. */
static bool silent(const struct broker_channel *channel)
{
    return channel->released || channel->broker->phase == BROKER_PHASE_CLOSED;
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
    channel->phase = CHANNEL_DEAD;
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

static void end_overdue(struct broker_channel *channel)
{
    struct broker *broker = channel->broker;
    uint16_t number = channel->number;
    detach(channel, true);
    if (wire_close_channel(broker->wire, number) != 0)
        broker_break(broker, "cannot send to the broker");
    channel_gone(channel, ERR_UNAVAILABLE, "no answer on the channel within 60 s");
}

void broker_channels_look(struct broker *broker, uint64_t now_ms)
{
    /* a callback may end the connection; a broker that is blocked need not answer */
    for (uint32_t i = 1; i <= broker->channel_max && broker->phase == BROKER_PHASE_UP; i++) {
        struct broker_channel *channel = broker->channels[i];
        if (channel == NULL || channel->phase != CHANNEL_OPENING)
            continue;
        if (broker->answered_ms < channel->asked_ms && channel->asked_ms + MUTE_MS <= now_ms)
            broker_break(broker, "no answer on a channel within 15 s");
        else if (channel->asked_ms + ANSWER_MS <= now_ms)
            end_overdue(channel);
    }
}

/* ------------------------------------------------------------------ frames */

static void on_message(struct broker_channel *channel, const struct wire_frame *frame)
{
    int got = broker_assembly_take(&channel->assembly, frame);
    if (got < 0)
        broker_break(channel->broker, "out of memory for a message");
    else if (got == BROKER_ASSEMBLY_RETURNED)
        broker_confirms_returned(&channel->confirms, frame->message_id);
    else if (got == BROKER_ASSEMBLY_DELIVERED && !silent(channel) &&
             channel->events.delivered != NULL)
        channel->events.delivered(&channel->assembly.delivery, channel->arg);
}

static void on_settled(struct broker_channel *channel, const struct wire_frame *frame)
{
    uint64_t sequence;
    bool returned;
    while (!channel->released && channel->phase == CHANNEL_OPEN &&
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
    channel->phase = CHANNEL_OPEN;
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
    if (channel->phase == CHANNEL_OPENING)
        broker->answered_ms = clock_mono_ms();
    if (frame->kind == WIRE_DELIVER || frame->kind == WIRE_RETURN || frame->kind == WIRE_HEADER ||
        frame->kind == WIRE_BODY) {
        on_message(channel, frame);
    } else if (frame->kind == WIRE_ACK || frame->kind == WIRE_NACK) {
        on_settled(channel, frame);
    } else if (frame->kind == WIRE_READY) {
        on_ready(channel, frame);
    } else if (frame->kind == WIRE_CLOSE) {
        on_closed(channel, frame);
    } else if (frame->kind == WIRE_CANCEL) {
        channel->phase = CHANNEL_DEAD; /* its number goes when its owner closes it */
        channel_gone(channel, ERR_NOT_FOUND, "the queue is gone (basic.cancel)");
    }
}

/* ------------------------------------------------------------------ what owners call */

int broker_channel_undo(struct broker_channel *channel)
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
    int rc = broker_channel_new(broker, 0, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    if (wire_open_publisher(broker->wire, channel->number) != 0)
        return broker_channel_undo(channel);
    *ret_channel = channel;
    return 0;
}

int broker_consumer_open(struct broker *broker, const char *queue, uint16_t prefetch,
                         size_t body_max, const struct broker_channel_events *events, void *arg,
                         struct broker_channel **ret_channel)
{
    struct broker_channel *channel;
    int rc = broker_channel_new(broker, body_max, &channel);
    if (rc != 0)
        return rc;
    channel->events = *events;
    channel->arg = arg;
    if (wire_open_consumer(broker->wire, channel->number, queue, prefetch) != 0)
        return broker_channel_undo(channel);
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
    if (number != 0 && broker_is_usable(broker) && wire_close_channel(broker->wire, number) != 0)
        broker_break(broker, "cannot send to the broker");
    bury(channel);
}

int broker_publish(struct broker_channel *channel, const struct broker_message *message,
                   uint64_t *ret_sequence)
{
    struct broker *broker = channel->broker;
    if (channel->phase != CHANNEL_OPEN || channel->number == 0 || broker->phase != BROKER_PHASE_UP)
        return ERR_UNAVAILABLE;
    /* a frame's overhead for every few kilobytes is far below this reserve */
    if (!broker_take_room(broker, message->body_len + message->body_len / 64 + BROKER_SMALL_FRAME))
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
    if (channel->number == 0 || !broker_is_usable(broker))
        return;
    if (!broker_take_room(broker, BROKER_SMALL_FRAME))
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
