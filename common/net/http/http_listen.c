#include "common/net/http/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"

static int close_failed(int fd)
{
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static int bind_address(const struct addrinfo *address, bool reuse_port)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    int off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return close_failed(fd);
    if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return close_failed(fd);
    if (address->ai_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return close_failed(fd);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(fd, HTTP_LISTEN_BACKLOG) != 0)
        return close_failed(fd);
    return fd;
}

/* Binds the first possible address of `host`; -1 with errno. */
static int bind_host(const char *host, uint16_t port, bool reuse_port)
{
    char service[8];
    struct buf text = {.data = service, .cap = sizeof service, .max = sizeof service - 1};
    (void)buf_int(&text, port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, service, &hints, &found);
    if (code != 0) {
        errno = code == EAI_SYSTEM ? errno : EADDRNOTAVAIL;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = bind_address(a, reuse_port);
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}

/* Each connection is a descriptor; the soft limit is often 1024. */
static void raise_descriptors(unsigned connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warning("limit of open files is below the number of connections",
                    LOG_INT("files", limit.rlim_cur), LOG_INT("connections", connections));
}

int http_listen(const char *host, uint16_t port, bool reuse_port, unsigned connections, int *ret_fd,
                uint16_t *ret_port, bool *ret_ipv6)
{
    int fd = bind_host(host, port, reuse_port);
    if (fd < 0)
        return ERR_UNAVAILABLE;
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } bound = {0};
    socklen_t len = sizeof bound;
    if (getsockname(fd, &bound.any, &len) != 0) {
        (void)close_failed(fd);
        return ERR_UNAVAILABLE;
    }
    raise_descriptors(connections);
    *ret_fd = fd;
    *ret_ipv6 = bound.any.sa_family == AF_INET6;
    *ret_port = ntohs(*ret_ipv6 ? bound.ipv6.sin6_port : bound.ipv4.sin_port);
    return 0;
}
