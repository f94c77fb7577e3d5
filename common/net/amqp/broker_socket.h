/* The socket below a connection to the broker: librabbitmq writes to it as if it could wait, so it
 * must never have to. */
#ifndef COMMON_NET_AMQP_BROKER_SOCKET_H
#define COMMON_NET_AMQP_BROKER_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/* A send buffer that holds our largest message, and an end to writes that the other side never
 * takes: then no send can hold the loop for longer than that. */
void broker_socket_tune(int fd, uint32_t heartbeat_s);
/* How many bytes more fit into the send buffer, so that sending them cannot block. */
size_t broker_socket_room(int fd);

#endif
