#include "common/net/http/http_listen.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define DESCRIPTORS_LEFT ((rlim_t)128) /* for whatever is no connection of a client */

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
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0)
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

/* Each connection is a descriptor; the soft limit is often 1024. Returns how many may be taken, so
 * that some are left for other servers of the process, such as its admin address. */
static unsigned connections_within(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < (rlim_t)wanted + DESCRIPTORS_LEFT) {
        struct rlimit raised = {.rlim_cur = (rlim_t)wanted + 2 * DESCRIPTORS_LEFT,
                                .rlim_max = limit.rlim_max};
        if (raised.rlim_cur > raised.rlim_max)
            raised.rlim_cur = raised.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    if (limit.rlim_cur >= (rlim_t)wanted + DESCRIPTORS_LEFT)
        return wanted;
    rlim_t taken = limit.rlim_cur > 2 * DESCRIPTORS_LEFT ? limit.rlim_cur - DESCRIPTORS_LEFT
                                                         : limit.rlim_cur / 2;
    taken = taken < wanted ? taken : wanted;
    if (taken < wanted)
        log_warning("limit of open files allows fewer connections than wanted",
                    LOG_INT("files", (int64_t)limit.rlim_cur), LOG_INT("wanted", wanted),
                    LOG_INT("connections", (int64_t)taken));
    return (unsigned)taken;
}

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

static int address_of(int fd, uint16_t *ret_port, bool *ret_ipv6)
{
    union address bound = {0};
    socklen_t len = sizeof bound;
    if (getsockname(fd, &bound.any, &len) != 0)
        return ERR_UNAVAILABLE;
    *ret_ipv6 = bound.any.sa_family == AF_INET6;
    *ret_port = ntohs(*ret_ipv6 ? bound.ipv6.sin6_port : bound.ipv4.sin_port);
    return 0;
}

int http_bind(const char *host, uint16_t port, bool reuse_port, int *ret_fd, uint16_t *ret_port)
{
    bool ipv6;
    int fd = bind_host(host, port, reuse_port);
    if (fd < 0)
        return ERR_UNAVAILABLE;
    if (address_of(fd, ret_port, &ipv6) < 0) {
        (void)close_failed(fd);
        return ERR_UNAVAILABLE;
    }
    *ret_fd = fd;
    return 0;
}

int http_listen(int fd, unsigned *connections, uint16_t *ret_port, bool *ret_ipv6)
{
    if (listen(fd, HTTP_LISTEN_BACKLOG) != 0)
        return ERR_UNAVAILABLE;
    *connections = connections_within(*connections);
    return address_of(fd, ret_port, ret_ipv6);
}

int http_listen_hold(int fd, bool hold)
{
    /* A listening socket's filter sees segments from their TCP header on; byte 13 holds the flags.
     * A pure SYN is dropped; the ACKs that complete connections pass. */
    struct sock_filter drop_syn[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
                                     BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
                                     BPF_STMT(BPF_RET | BPF_K, 0),
                                     BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {ARRAY_LEN(drop_syn), drop_syn};
    int on = 1;
    int code = hold ? setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)
                    : setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on);
    return code == 0 ? 0 : ERR_UNAVAILABLE;
}
