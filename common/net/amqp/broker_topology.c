#include "common/base/err.h"
#include "common/net/amqp/broker_impl.h"

static int question_new(struct broker *broker, broker_reply_cb cb, void *arg,
                        struct broker_channel **ret_channel)
{
    struct broker_channel *channel;
    int rc = broker_channel_new(broker, 0, &channel);
    if (rc != 0)
        return rc;
    channel->reply = cb;
    channel->arg = arg;
    if (wire_open_channel(broker->wire, channel->number) != 0) {
        (void)broker_channel_undo(channel);
        return ERR_UNAVAILABLE;
    }
    *ret_channel = channel;
    return 0;
}

static int question_sent(struct broker_channel *channel, int rc)
{
    return rc == 0 ? 0 : broker_channel_undo(channel);
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

int broker_unbind(struct broker *broker, const char *queue, const char *exchange,
                  const char *routing_key, broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel,
                         wire_unbind(broker->wire, channel->number, queue, exchange, routing_key));
}

int broker_delete_queue(struct broker *broker, const char *name, broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel, wire_delete_queue(broker->wire, channel->number, name));
}

int broker_delete_exchange(struct broker *broker, const char *name, broker_reply_cb cb, void *arg)
{
    struct broker_channel *channel;
    int rc = question_new(broker, cb, arg, &channel);
    if (rc != 0)
        return rc;
    return question_sent(channel, wire_delete_exchange(broker->wire, channel->number, name));
}
