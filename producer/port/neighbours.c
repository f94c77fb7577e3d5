#include "producer/port/neighbours.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"

#define SLOTS 64 /* processes on one port */
#define WORD_ASKS 'A'
#define WORD_TAKES 'T'
#define WORDS_MAX 256 /* read in one turn */

/* Sent and received by programs of one build or another on one host: keep its form. */
struct word {
    uint64_t asked_ms; /* the asker's clock; the answer repeats it */
    char kind;
    char padding[7];
};

struct neighbours {
    int fd;
    unsigned slot; /* ours */
    struct loop_watch *watch;
    neighbours_cb takes;
    void *arg;
    uint64_t heard_ms;
    uint64_t said_ms; /* when we last said that we take orders */
    char address[64];
};

static socklen_t name_of(const struct neighbours *n, unsigned slot, struct sockaddr_un *ret_name)
{
    *ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* a first byte of zero: the abstract namespace */
    int len = snprintf(ret_name->sun_path + 1, sizeof ret_name->sun_path - 1,
                       "checkout-producer/%s/%u", n->address, slot);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static bool take_slot(struct neighbours *n)
{
    struct sockaddr_un name;
    for (n->slot = 0; n->slot < SLOTS; n->slot++) {
        socklen_t len = name_of(n, n->slot, &name);
        if (bind(n->fd, (const struct sockaddr *)&name, len) == 0)
            return true;
        if (errno != EADDRINUSE)
            return false;
    }
    return false;
}

static void answer(struct neighbours *n, const struct word *question, const struct sockaddr_un *to,
                   socklen_t to_len)
{
    const struct word takes = {.asked_ms = question->asked_ms, .kind = WORD_TAKES};
    if (!n->takes(n->arg))
        return;
    n->said_ms = clock_mono_ms();
    /* an answer that gets lost is asked for again */
    (void)sendto(n->fd, &takes, sizeof takes, MSG_DONTWAIT | MSG_NOSIGNAL,
                 (const struct sockaddr *)to, to_len);
}

static bool from_our_user(struct msghdr *message)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    struct ucred sender;
    if (control == NULL || control->cmsg_level != SOL_SOCKET ||
        control->cmsg_type != SCM_CREDENTIALS || control->cmsg_len < CMSG_LEN(sizeof sender))
        return false;
    memcpy(&sender, CMSG_DATA(control), sizeof sender);
    return sender.uid == getuid();
}

/* False: there is none. */
static bool receive(struct neighbours *n)
{
    struct word word = {0};
    struct sockaddr_un from = {0};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control = {0};
    struct iovec piece = {&word, sizeof word};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t len = recvmsg(n->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return false;
    if (len != (ssize_t)sizeof word || !from_our_user(&message))
        return true;
    if (word.kind == WORD_ASKS)
        answer(n, &word, &from, message.msg_namelen);
    else if (word.kind == WORD_TAKES && word.asked_ms > n->heard_ms &&
             word.asked_ms <= clock_mono_ms())
        n->heard_ms = word.asked_ms;
    return true;
}

static void on_readable(int events, void *arg)
{
    (void)events;
    for (int i = 0; i < WORDS_MAX && receive(arg); i++)
        ;
}

struct neighbours *neighbours_new(struct loop *loop, const char *address, neighbours_cb takes,
                                  void *arg)
{
    struct neighbours *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->takes = takes;
    n->arg = arg;
    int on = 1;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int len = snprintf(n->address, sizeof n->address, "%s", address);
    if (n->fd >= 0 && len < (int)sizeof n->address &&
        setsockopt(n->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && take_slot(n))
        n->watch = loop_watch_new(loop, n->fd, on_readable, n);
    if (n->watch == NULL) {
        neighbours_free(n);
        return NULL;
    }
    loop_watch_set(n->watch, LOOP_READ);
    return n;
}

void neighbours_free(struct neighbours *neighbours)
{
    if (neighbours == NULL)
        return;
    loop_watch_free(neighbours->watch);
    if (neighbours->fd >= 0)
        (void)close(neighbours->fd);
    free(neighbours);
}

void neighbours_ask(struct neighbours *neighbours)
{
    if (neighbours == NULL)
        return;
    const struct word question = {.asked_ms = clock_mono_ms(), .kind = WORD_ASKS};
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct sockaddr_un name;
        socklen_t len = name_of(neighbours, slot, &name);
        if (slot != neighbours->slot) /* most do not exist; one that is busy is asked again */
            (void)sendto(neighbours->fd, &question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL,
                         (const struct sockaddr *)&name, len);
    }
}

uint64_t neighbours_heard_ms(const struct neighbours *neighbours)
{
    if (neighbours == NULL || neighbours->heard_ms <= neighbours->said_ms)
        return 0;
    return neighbours->heard_ms;
}
