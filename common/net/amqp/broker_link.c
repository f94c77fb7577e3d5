#include <stdio.h>

#include "common/base/log.h"
#include "common/net/amqp/broker_impl.h"
#include "common/net/amqp/broker_socket.h"

void broker_enter_phase(struct broker *broker, enum broker_phase phase, const char *reason)
{
    static const char *const names[] = {"idle",   "connecting", "up",    "blocked",
                                        "broken", "suspended",  "closed"};
    log_debug("RabbitMQ connection: new phase", LOG_STR("connection", broker->name),
              LOG_STR("node", broker->node), LOG_STR("from", names[broker->phase]),
              LOG_STR("to", names[phase]), LOG_STR("reason", reason));
    broker->phase = phase;
}

void broker_enter(struct broker *broker)
{
    broker->depth++;
}

void broker_leave(struct broker *broker)
{
    if (--broker->depth == 0)
        broker->at_rest(broker);
}

bool broker_is_usable(const struct broker *broker)
{
    return broker->phase == BROKER_PHASE_UP || broker->phase == BROKER_PHASE_BLOCKED;
}

bool broker_has_room(const struct broker *broker, size_t bytes)
{
    return broker_socket_has_room(wire_fd(broker->wire), bytes);
}

void broker_break(struct broker *broker, const char *reason)
{
    if (!broker_is_usable(broker))
        return;
    broker_enter_phase(broker, BROKER_PHASE_BROKEN, reason);
    (void)snprintf(broker->reason, sizeof broker->reason, "%s", reason);
    loop_defer(broker->soon);
}
