#include "ctl/reshard/lines.h"

#include "common/base/err.h"
#include "common/shop/shard.h"
#include "common/shop/topology.h"
#include "ctl/broker_reply.h"

/* `code`: of the question that was sent. */
static int await(struct broker_reply *reply, int code, const char *name)
{
    if (broker_reply_await(reply, code) == 0)
        return CTL_FINE;
    return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", name, reply->text);
}

static void declared(int code, const char *problem, void *arg)
{
    broker_replied(code, problem == NULL ? "" : problem, 0, 0, arg);
}

int lines_declare(struct ctl *ctl, uint32_t shards)
{
    struct broker_reply reply = {.ctl = ctl};
    char name[SHARD_NAME_SIZE];
    const struct topology_options options = {
        .shards = shards,
        .queue_max_bytes = cfg_int(ctl->cfg, CFG_QUEUE_MAX_BYTES),
        .replicas = cfg_int(ctl->cfg, CFG_QUEUE_REPLICAS),
        .unbound = true,
    };
    shard_exchange(shards, name);
    return await(&reply, topology_declare(ctl->broker, &options, NULL, declared, &reply), name);
}

/* `exchange` NULL: that of the shards, else the routing keys are the queues' names. */
static int bind(struct ctl *ctl, const char *exchange, uint32_t shards, bool open)
{
    char own[SHARD_NAME_SIZE], queue[SHARD_NAME_SIZE], key[SHARD_NAME_SIZE];
    shard_exchange(shards, own);
    for (uint32_t shard = 0; shard < shards; shard++) {
        struct broker_reply reply = {.ctl = ctl};
        shard_queue(shards, shard, queue);
        if (exchange == NULL)
            shard_routing_key(shard, key);
        else
            shard_queue(shards, shard, key);
        const char *to = exchange == NULL ? own : exchange;
        int code = open ? broker_bind(ctl->broker, queue, to, key, broker_replied, &reply)
                        : broker_unbind(ctl->broker, queue, to, key, broker_replied, &reply);
        int exit_code = await(&reply, code, queue);
        if (exit_code != CTL_FINE && (open || reply.code != ERR_NOT_FOUND))
            return exit_code;
    }
    return CTL_FINE;
}

int lines_open(struct ctl *ctl, uint32_t shards)
{
    return bind(ctl, NULL, shards, true);
}

int lines_close(struct ctl *ctl, uint32_t shards)
{
    return bind(ctl, NULL, shards, false);
}

int lines_link(struct ctl *ctl, uint32_t from, uint32_t to)
{
    struct broker_reply reply = {.ctl = ctl};
    int exit_code = await(&reply,
                          broker_declare_exchange(ctl->broker, LINES_FORWARD, "direct", false,
                                                  broker_replied, &reply),
                          LINES_FORWARD);
    if (exit_code == CTL_FINE)
        exit_code = bind(ctl, LINES_FORWARD, from, true);
    return exit_code == CTL_FINE ? bind(ctl, LINES_FORWARD, to, true) : exit_code;
}

int lines_unlink(struct ctl *ctl, uint32_t to)
{
    struct broker_reply reply = {.ctl = ctl};
    int exit_code = bind(ctl, LINES_FORWARD, to, false);
    if (exit_code != CTL_FINE)
        return exit_code;
    return await(&reply, broker_delete_exchange(ctl->broker, LINES_FORWARD, broker_replied, &reply),
                 LINES_FORWARD);
}

int lines_look(struct ctl *ctl, uint32_t shards, uint32_t shard, uint32_t *ret_messages,
               uint32_t *ret_consumers)
{
    struct broker_reply reply = {.ctl = ctl};
    char queue[SHARD_NAME_SIZE];
    shard_queue(shards, shard, queue);
    int exit_code = await(
        &reply, broker_declare_queue(ctl->broker, queue, NULL, 0, true, broker_replied, &reply),
        queue);
    *ret_messages = reply.messages;
    *ret_consumers = reply.consumers;
    return exit_code;
}

int lines_count(struct ctl *ctl, uint32_t shards, uint64_t *ret_messages)
{
    int exit_code = CTL_FINE;
    *ret_messages = 0;
    for (uint32_t shard = 0; shard < shards && exit_code == CTL_FINE; shard++) {
        uint32_t messages, consumers;
        exit_code = lines_look(ctl, shards, shard, &messages, &consumers);
        *ret_messages += messages;
    }
    return exit_code;
}

int lines_delete(struct ctl *ctl, uint32_t shards)
{
    char name[SHARD_NAME_SIZE];
    for (uint32_t shard = 0; shard < shards; shard++) {
        struct broker_reply reply = {.ctl = ctl};
        shard_queue(shards, shard, name);
        int exit_code =
            await(&reply, broker_delete_queue(ctl->broker, name, broker_replied, &reply), name);
        if (exit_code != CTL_FINE)
            return exit_code;
    }
    struct broker_reply reply = {.ctl = ctl};
    shard_exchange(shards, name);
    return await(&reply, broker_delete_exchange(ctl->broker, name, broker_replied, &reply), name);
}
