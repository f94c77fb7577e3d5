#include "tests/fake/fake_broker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/err.h"

#define BROKERS_MAX 16
#define MESSAGES_MAX 1024
#define QUESTIONS_MAX 4096

struct message {
    char *key;
    char *body;
};

struct broker_channel {
    struct broker *broker;
    char *queue; /* NULL: it publishes */
    struct broker_channel_events events;
    void *arg;
    bool ready;
    bool gone; /* has been told to be closed */
    int fail_next;
    uint64_t sequence;
    uint64_t tag;
    uint64_t acked;
    struct message messages[MESSAGES_MAX];
    TAILQ_ENTRY(broker_channel) link;
};

struct question {
    char name[64]; /* of the exchange or queue */
    broker_reply_cb cb;
    void *arg;
};

struct broker {
    broker_state_cb cb;
    void *arg;
    enum broker_state state;
    bool suspended;
    size_t moves;
    const char *move_reason;
    size_t nodes; /* that its URLs name */
    size_t ever;
    TAILQ_HEAD(, broker_channel) channels;
    TAILQ_HEAD(, broker_channel) closed; /* kept, so that a callback may still look at them */
    struct question questions[QUESTIONS_MAX];
    size_t question_count;
};

static struct broker *brokers[BROKERS_MAX];
static size_t broker_count;

void fake_broker_reset(void)
{
    broker_count = 0;
}

struct broker *fake_broker(size_t number)
{
    ck_assert_uint_lt(number, broker_count);
    return brokers[number];
}

size_t fake_brokers(void)
{
    return broker_count;
}

static void set_state(struct broker *broker, enum broker_state state, const char *reason)
{
    broker->state = state;
    broker->cb(state, reason, broker->arg);
}

void fake_broker_up(struct broker *broker)
{
    set_state(broker, BROKER_UP, NULL);
}

void fake_broker_blocked(struct broker *broker)
{
    set_state(broker, BROKER_BLOCKED, "the test says so");
}

void fake_channel_break(struct broker_channel *channel)
{
    if (channel->gone)
        return;
    channel->gone = true;
    channel->ready = false;
    channel->events.closed("the test says so", channel->arg);
}

static void lost(struct broker *broker, const char *reason)
{
    broker->state = BROKER_DOWN;
    for (struct broker_channel *channel = TAILQ_FIRST(&broker->channels), *next; channel != NULL;
         channel = next) {
        next = TAILQ_NEXT(channel, link);
        fake_channel_break(channel);
    }
    broker->cb(BROKER_DOWN, reason, broker->arg);
}

void fake_broker_down(struct broker *broker)
{
    if (broker->state != BROKER_DOWN)
        lost(broker, "the test says so");
}

bool fake_broker_suspended(const struct broker *broker)
{
    return broker->suspended;
}

size_t fake_broker_moves(const struct broker *broker)
{
    return broker->moves;
}

void fake_broker_set_nodes(struct broker *broker, size_t count)
{
    broker->nodes = count;
}

const char *fake_broker_move_reason(const struct broker *broker)
{
    return broker->move_reason == NULL ? "" : broker->move_reason;
}

size_t fake_broker_channels(const struct broker *broker)
{
    size_t count = 0;
    const struct broker_channel *channel;
    TAILQ_FOREACH(channel, &broker->channels, link)
    count++;
    return count;
}

size_t fake_broker_channels_ever(const struct broker *broker)
{
    return broker->ever;
}

struct broker_channel *fake_broker_channel(struct broker *broker, size_t number)
{
    struct broker_channel *channel;
    TAILQ_FOREACH(channel, &broker->channels, link)
    if (number-- == 0)
        return channel;
    ck_abort_msg("fewer channels are open");
    return NULL;
}

struct broker_channel *fake_broker_consumer(struct broker *broker, const char *queue)
{
    struct broker_channel *channel;
    TAILQ_FOREACH(channel, &broker->channels, link)
    if (channel->queue != NULL && strcmp(channel->queue, queue) == 0)
        return channel;
    return NULL;
}

void fake_channel_open(struct broker_channel *channel)
{
    ck_assert(!channel->gone);
    channel->ready = true;
    if (channel->events.opened != NULL)
        channel->events.opened(channel->arg);
}

void fake_channel_confirm(struct broker_channel *channel, uint64_t sequence,
                          enum broker_confirm result)
{
    ck_assert(channel->ready);
    ck_assert_uint_le(sequence, channel->sequence);
    channel->events.confirmed(sequence, result, channel->arg);
}

void fake_channel_deliver(struct broker_channel *channel, const char *body)
{
    ck_assert(channel->ready);
    const struct broker_delivery delivery = {.tag = ++channel->tag,
                                             .body = body,
                                             .body_len = strlen(body),
                                             .body_size = strlen(body),
                                             .type = "",
                                             .content_type = ""};
    channel->events.delivered(&delivery, channel->arg);
}

void fake_channel_fail_next(struct broker_channel *channel, int code)
{
    channel->fail_next = code;
}

size_t fake_channel_published(const struct broker_channel *channel)
{
    return channel->sequence;
}

static const struct message *message_of(const struct broker_channel *channel, uint64_t sequence)
{
    ck_assert_uint_ge(sequence, 1);
    ck_assert_uint_le(sequence, channel->sequence);
    return &channel->messages[sequence - 1];
}

const char *fake_channel_key(const struct broker_channel *channel, uint64_t sequence)
{
    return message_of(channel, sequence)->key;
}

const char *fake_channel_body(const struct broker_channel *channel, uint64_t sequence)
{
    return message_of(channel, sequence)->body;
}

uint64_t fake_channel_acked(const struct broker_channel *channel)
{
    return channel->acked;
}

/* ---- broker.h ---- */

struct broker *broker_open(struct loop *loop, const struct broker_options *options,
                           broker_state_cb cb, void *arg)
{
    (void)loop;
    (void)options;
    struct broker *broker = calloc(1, sizeof *broker);
    ck_assert_ptr_nonnull(broker);
    broker->cb = cb;
    broker->arg = arg;
    broker->nodes = 1;
    TAILQ_INIT(&broker->channels);
    TAILQ_INIT(&broker->closed);
    ck_assert_uint_lt(broker_count, BROKERS_MAX);
    brokers[broker_count++] = broker;
    return broker;
}

static void channel_free(struct broker_channel *channel)
{
    for (uint64_t i = 0; i < channel->sequence; i++) {
        free(channel->messages[i].key);
        free(channel->messages[i].body);
    }
    free(channel->queue);
    free(channel);
}

void broker_close(struct broker *broker)
{
    if (broker == NULL)
        return;
    struct broker_channel *channel;
    for (size_t i = 0; i < broker->question_count; i++)
        broker->questions[i].cb(ERR_CLOSED, "", 0, 0, broker->questions[i].arg);
    TAILQ_CONCAT(&broker->closed, &broker->channels, link);
    while ((channel = TAILQ_FIRST(&broker->closed)) != NULL) {
        TAILQ_REMOVE(&broker->closed, channel, link);
        channel_free(channel);
    }
    free(broker);
}

enum broker_state broker_state(const struct broker *broker)
{
    return broker->state;
}

const char *broker_server_version(const struct broker *broker)
{
    return broker->state == BROKER_DOWN ? "" : "3.10.8";
}

void broker_suspend(struct broker *broker, const char *reason)
{
    broker->suspended = true;
    if (broker->state != BROKER_DOWN)
        lost(broker, reason);
}

void broker_resume(struct broker *broker)
{
    broker->suspended = false;
}

void broker_move(struct broker *broker, const char *reason)
{
    if (broker->state == BROKER_DOWN)
        return;
    broker->moves++;
    broker->move_reason = reason;
    lost(broker, reason);
}

const char *broker_node(const struct broker *broker)
{
    (void)broker;
    return "node-1:5672";
}

size_t broker_node_count(const struct broker *broker)
{
    return broker->nodes;
}

static struct broker_channel *channel_new(struct broker *broker,
                                          const struct broker_channel_events *events, void *arg)
{
    struct broker_channel *channel = calloc(1, sizeof *channel);
    ck_assert_ptr_nonnull(channel);
    channel->broker = broker;
    channel->events = *events;
    channel->arg = arg;
    TAILQ_INSERT_TAIL(&broker->channels, channel, link);
    broker->ever++;
    return channel;
}

int broker_publisher_open(struct broker *broker, const struct broker_channel_events *events,
                          void *arg, struct broker_channel **ret_channel)
{
    if (broker->state == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    *ret_channel = channel_new(broker, events, arg);
    return 0;
}

int broker_consumer_open(struct broker *broker, const char *queue, uint16_t prefetch,
                         size_t body_max, const struct broker_channel_events *events, void *arg,
                         struct broker_channel **ret_channel)
{
    (void)prefetch;
    (void)body_max;
    if (broker->state == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    *ret_channel = channel_new(broker, events, arg);
    (*ret_channel)->queue = strdup(queue);
    return 0;
}

void broker_channel_close(struct broker_channel *channel)
{
    if (channel == NULL)
        return;
    channel->gone = true;
    channel->ready = false;
    TAILQ_REMOVE(&channel->broker->channels, channel, link);
    TAILQ_INSERT_TAIL(&channel->broker->closed, channel, link);
}

int broker_publish(struct broker_channel *channel, const struct broker_message *message,
                   uint64_t *ret_sequence)
{
    if (!channel->ready || channel->broker->state != BROKER_UP)
        return ERR_UNAVAILABLE;
    int code = channel->fail_next;
    channel->fail_next = 0;
    if (code < 0)
        return code;
    ck_assert_uint_lt(channel->sequence, MESSAGES_MAX);
    channel->messages[channel->sequence] = (struct message){
        .key = strdup(message->routing_key), .body = strndup(message->body, message->body_len)};
    *ret_sequence = ++channel->sequence;
    return 0;
}

void broker_ack(struct broker_channel *channel, uint64_t tag, bool multiple)
{
    ck_assert(!channel->gone);
    ck_assert(!multiple || tag > channel->acked);
    ck_assert_uint_le(tag, channel->tag);
    channel->acked = multiple ? tag : channel->acked + 1;
}

/* Questions about the topology have no answer until the broker is closed. */
static int question(struct broker *broker, const char *name, broker_reply_cb cb, void *arg)
{
    if (broker->state == BROKER_DOWN)
        return ERR_UNAVAILABLE;
    ck_assert_uint_lt(broker->question_count, QUESTIONS_MAX);
    struct question *asked = &broker->questions[broker->question_count++];
    *asked = (struct question){.cb = cb, .arg = arg};
    (void)snprintf(asked->name, sizeof asked->name, "%s", name);
    return 0;
}

const char *fake_broker_asked(const struct broker *broker)
{
    return broker->question_count == 0 ? "" : broker->questions[0].name;
}

static void answer(struct broker *broker, int code, uint32_t messages, uint32_t consumers)
{
    ck_assert_uint_gt(broker->question_count, 0);
    struct question asked = broker->questions[0];
    broker->question_count--;
    memmove(broker->questions, broker->questions + 1,
            broker->question_count * sizeof broker->questions[0]);
    asked.cb(code, "", messages, consumers, asked.arg);
}

void fake_broker_answer(struct broker *broker, int code)
{
    answer(broker, code, 0, 0);
}

void fake_broker_answer_with(struct broker *broker, uint32_t messages, uint32_t consumers)
{
    answer(broker, 0, messages, consumers);
}

int broker_declare_exchange(struct broker *broker, const char *name, const char *type, bool passive,
                            broker_reply_cb cb, void *arg)
{
    (void)type;
    (void)passive;
    return question(broker, name, cb, arg);
}

int broker_declare_queue(struct broker *broker, const char *name,
                         const struct broker_argument *arguments, size_t argument_count,
                         bool passive, broker_reply_cb cb, void *arg)
{
    (void)arguments;
    (void)argument_count;
    (void)passive;
    return question(broker, name, cb, arg);
}

int broker_bind(struct broker *broker, const char *queue, const char *exchange,
                const char *routing_key, broker_reply_cb cb, void *arg)
{
    (void)exchange;
    (void)routing_key;
    return question(broker, queue, cb, arg);
}

int broker_unbind(struct broker *broker, const char *queue, const char *exchange,
                  const char *routing_key, broker_reply_cb cb, void *arg)
{
    return broker_bind(broker, queue, exchange, routing_key, cb, arg);
}

int broker_delete_queue(struct broker *broker, const char *name, broker_reply_cb cb, void *arg)
{
    return question(broker, name, cb, arg);
}

int broker_delete_exchange(struct broker *broker, const char *name, broker_reply_cb cb, void *arg)
{
    return question(broker, name, cb, arg);
}

#ifdef CHECKOUT_SEEDED_BUGS
bool broker_seed_nack(struct broker_channel *channel, uint64_t tag)
{
    (void)channel;
    (void)tag;
    return false;
}

void broker_seed_cancel(struct broker_channel *channel)
{
    (void)channel;
}
#endif
