/* What the files around librabbitmq share: the connection, and how texts become the library's. */
#ifndef COMMON_NET_AMQP_BROKER_RABBIT_IMPL_H
#define COMMON_NET_AMQP_BROKER_RABBIT_IMPL_H

#include <stddef.h>

#include "common/net/amqp/broker_wire.h"

struct wire {
    struct amqp_connection_state_t_ *connection;
    int fd;
    char version[64];
};

struct amqp_table_entry_t_ rabbit_entry(const struct broker_argument *argument);
/* Cuts the text at `size`, its NUL included. */
void rabbit_copy_text(char *out, size_t size, const void *text, size_t len);

#endif
