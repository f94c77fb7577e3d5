#include "common/net/tcp_connect.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/hosts.h"

/* Waits for the result of the pending connect of `fd`; 0 or an errno. */
static int await_connect(int fd, int timeout_ms)
{
    uint64_t end = clock_mono_ms() + (uint64_t)timeout_ms;
    for (;;) {
        uint64_t now = clock_mono_ms();
        struct pollfd waiting = {.fd = fd, .events = POLLOUT};
        int n = poll(&waiting, 1, now >= end ? 0 : (int)(end - now));
        if (n == 0)
            return ETIMEDOUT;
        if (n > 0)
            break;
        if (errno != EINTR)
            return errno;
    }
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/* A connected socket, or -1 with the errno in `ret_error`. */
static int try_address(const struct sockaddr *address, socklen_t size, int timeout_ms,
                       int *ret_error)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *ret_error = errno;
        return -1;
    }
    int one = 1;
    int error = 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        error = errno;
    else if (connect(fd, address, size) != 0)
        error = errno == EINPROGRESS ? await_connect(fd, timeout_ms) : errno;
    if (error != 0) {
        (void)close(fd);
        *ret_error = error;
        return -1;
    }
    return fd;
}

int tcp_connect(const char *host, uint16_t port, unsigned round, int timeout_ms, int *ret_fd,
                char *ret_reason, size_t reason_size)
{
    struct host_addresses addresses;
    int code = host_resolve(host, port, round, &addresses, ret_reason, reason_size);
    if (code < 0)
        return code;
    uint64_t end = clock_mono_ms() + (uint64_t)timeout_ms;
    int fd = -1;
    int error = ENOENT;
    for (size_t i = 0; i < addresses.count && fd < 0; i++) {
        uint64_t now = clock_mono_ms();
        size_t share = now >= end ? 0 : (size_t)(end - now) / (addresses.count - i);
        fd = try_address((const struct sockaddr *)&addresses.list[i], addresses.sizes[i],
                         (int)share, &error);
    }
    if (fd < 0) {
        (void)snprintf(ret_reason, reason_size, "%s:%u: %s", host, port, strerror(error));
        return ERR_UNAVAILABLE;
    }
    *ret_fd = fd;
    return 0;
}
