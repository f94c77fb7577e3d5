#include "common/net/amqp/broker.h"
#include "common/service/contact.h"
#include "common/service/servers.h"

static void changed(enum broker_state state, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (state == BROKER_DOWN)
        contact_failed(contact, broker_fault(contact->client), reason);
    else
        contact_up(contact);
}

static void *open_broker(struct loop *loop, const struct cfg *cfg, const char *program,
                         struct contact *contact)
{
    const struct broker_options options = servers_broker(cfg, program);
    return broker_open(loop, &options, changed, contact);
}

static void close_broker(struct contact *contact)
{
    broker_close(contact->client);
}

const struct contact_kind contact_broker = {CFG_AMQP_URL, "RabbitMQ", open_broker, close_broker};
