#include "common/net/http/curl_sockets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/err.h"

struct curl_socket {
    struct curl_sockets *all;
    int fd;
    struct loop_watch *watch; /* NULL: none yet */
    bool ours;                /* made by curl_sockets_open, so libcurl reports its close */
    bool active;              /* libcurl waits for it */
    bool read;                /* it has waited for an answer: the connection is established */
};

static struct curl_socket *find(const struct curl_sockets *sockets, int fd)
{
    return (size_t)fd < sockets->count ? sockets->by_fd[fd] : NULL;
}

static void forget(struct curl_sockets *sockets, int fd)
{
    struct curl_socket *s = find(sockets, fd);
    if (s == NULL)
        return;
    sockets->by_fd[fd] = NULL;
    loop_watch_free(s->watch);
    free(s);
}

static struct curl_socket *add(struct curl_sockets *sockets, int fd)
{
    if ((size_t)fd >= sockets->count) {
        size_t count = ((size_t)fd + 1) * 2;
        struct curl_socket **grown = realloc(sockets->by_fd, count * sizeof(struct curl_socket *));
        if (grown == NULL)
            return NULL;
        for (size_t i = sockets->count; i < count; i++)
            grown[i] = NULL;
        sockets->by_fd = grown;
        sockets->count = count;
    }
    struct curl_socket *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (struct curl_socket){.all = sockets, .fd = fd};
    sockets->by_fd[fd] = s;
    return s;
}

void curl_sockets_init(struct curl_sockets *sockets, struct loop *loop, curl_socket_cb cb,
                       void *arg)
{
    *sockets = (struct curl_sockets){.loop = loop, .cb = cb, .arg = arg};
}

void curl_sockets_free(struct curl_sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++)
        forget(sockets, (int)i);
    free(sockets->by_fd);
    sockets->by_fd = NULL;
    sockets->count = 0;
}

int curl_sockets_open(struct curl_sockets *sockets, int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -1;
    forget(sockets, fd); /* the number of one that was closed without a report */
    struct curl_socket *s = add(sockets, fd);
    if (s == NULL) {
        (void)close(fd);
        return -1;
    }
    s->ours = true;
    return fd;
}

int curl_sockets_close(struct curl_sockets *sockets, int fd)
{
    forget(sockets, fd);
    return close(fd);
}

static void ready(int events, void *arg)
{
    struct curl_socket *s = arg;
    if (s->active)
        s->all->cb(s->fd, events, s->all->arg); /* s may be freed now */
    else
        loop_watch_set(s->watch, 0); /* an idle connection was closed; its next user notices */
}

int curl_sockets_wait(struct curl_sockets *sockets, int fd, int events)
{
    struct curl_socket *s = find(sockets, fd);
    if (s == NULL)
        s = add(sockets, fd);
    if (s != NULL && s->watch == NULL)
        s->watch = loop_watch_new(sockets->loop, fd, ready, s);
    if (s == NULL || s->watch == NULL)
        return ERR_NOMEM;
    s->active = true;
    s->read = s->read || (events & LOOP_READ) != 0;
    loop_watch_set(s->watch, events);
    return 0;
}

/* An idle connection stays watched, so its next call needs no system call. One that only waited to
 * be writable may never have been established: libcurl 7.88 closes such a socket itself without a
 * report, and polling a closed descriptor ends in abort(). */
void curl_sockets_release(struct curl_sockets *sockets, int fd)
{
    struct curl_socket *s = find(sockets, fd);
    if (s == NULL)
        return;
    s->active = false;
    if (!s->ours || !s->read)
        forget(sockets, fd);
    else if (s->watch != NULL)
        loop_watch_set(s->watch, LOOP_READ);
}
