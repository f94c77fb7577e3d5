/* Clients that have ended their side. Asking each socket before each answer costs a system call per
 * request; so an epoll set of our own, beside the library's, has the ends of all connections, and
 * is asked once for all answers of a turn of the loop. */
#include "common/net/http/http_impl.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"

#define AT_ONCE 64

int http_hangups_open(struct http_server *s)
{
    s->hangup_fd = epoll_create1(EPOLL_CLOEXEC);
    return s->hangup_fd < 0 ? ERR_UNAVAILABLE : 0;
}

void http_hangups_close(struct http_server *s)
{
    if (s->hangup_fd >= 0)
        (void)close(s->hangup_fd);
    s->hangup_fd = -1;
}

bool http_hangup_watch(struct http_request *r)
{
    struct epoll_event ends = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = r};
    return epoll_ctl(r->server->hangup_fd, EPOLL_CTL_ADD, r->fd, &ends) == 0;
}

void http_hangup_unwatch(struct http_request *r)
{
    (void)epoll_ctl(r->server->hangup_fd, EPOLL_CTL_DEL, r->fd, NULL);
}

/* Takes all that the set has; each end comes once. */
static void look(struct http_server *s)
{
    struct epoll_event ends[AT_ONCE];
    int count;
    do {
        count = epoll_wait(s->hangup_fd, ends, AT_ONCE, 0);
        for (int i = 0; i < count; i++)
            ((struct http_request *)ends[i].data.ptr)->hung_up = true;
    } while (count == AT_ONCE);
    s->hangups_known = true;
}

bool http_hung_up(struct http_request *r)
{
    char byte;
    if (!r->server->hangups_known)
        look(r->server);
    return r->hung_up && recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
