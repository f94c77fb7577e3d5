#include "common/net/amqp/broker_socket.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SEND_BUFFER (1024 * 1024)

void broker_socket_tune(int fd, uint32_t heartbeat_s)
{
    int size = 0;
    socklen_t len = sizeof size;
    const int wanted = SEND_BUFFER;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size < wanted)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    unsigned patience_ms = heartbeat_s * 2000;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

size_t broker_socket_room(int fd)
{
    int queued = 0;
    int size = 0;
    socklen_t len = sizeof size;
    if (ioctl(fd, SIOCOUTQ, &queued) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) != 0)
        return SIZE_MAX; /* a broken socket: the send itself will say so */
    /* the kernel counts its own overhead in `size`, not in `queued` */
    size_t usable = (size_t)size / 4 * 3;
    return (size_t)queued < usable ? usable - (size_t)queued : 0;
}
