#include <stdio.h>

#include "common/base/log.h"
#include "common/net/amqp/broker_impl.h"
#include "common/net/amqp/broker_socket.h"

#define ROOM_SEEN_MAX ((size_t)64 * 1024)

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

/* Asking takes two system calls, so what it shows is used up first; but not much of it: where the
 * system lacks memory, it makes the buffer smaller. */
bool broker_take_room(struct broker *broker, size_t bytes)
{
    if (bytes > broker->room) {
        size_t room = broker_socket_room(wire_fd(broker->wire));
        if (bytes > room)
            return false;
        size_t most = bytes > ROOM_SEEN_MAX ? bytes : ROOM_SEEN_MAX;
        broker->room = room < most ? room : most;
    }
    broker->room -= bytes;
    return true;
}

void broker_break(struct broker *broker, const char *reason)
{
    if (!broker_is_usable(broker))
        return;
    broker_enter_phase(broker, BROKER_PHASE_BROKEN, reason);
    (void)snprintf(broker->reason, sizeof broker->reason, "%s", reason);
    loop_defer(broker->soon);
}
