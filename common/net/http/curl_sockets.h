/* The descriptors that libcurl waits for (its connections, its resolver's), watched by our loop. */
#ifndef COMMON_NET_HTTP_CURL_SOCKETS_H
#define COMMON_NET_HTTP_CURL_SOCKETS_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct curl_socket;

/* `events`: LOOP_READ | LOOP_WRITE. */
typedef void (*curl_socket_cb)(int fd, int events, void *arg);

struct curl_sockets {
    struct loop *loop;
    curl_socket_cb cb;
    void *arg;
    struct curl_socket **by_fd; /* NULL: none */
    size_t count;
};

void curl_sockets_init(struct curl_sockets *sockets, struct loop *loop, curl_socket_cb cb,
                       void *arg);
/* Forgets all; closes none. */
void curl_sockets_free(struct curl_sockets *sockets);
/* A new socket of ours; -1: none to be had. */
int curl_sockets_open(struct curl_sockets *sockets, int family, int type, int protocol);
int curl_sockets_close(struct curl_sockets *sockets, int fd);
/* Waits for `events` of `fd`. ERR_NOMEM. */
MUST_CHECK int curl_sockets_wait(struct curl_sockets *sockets, int fd, int events);
/* Waits no longer. */
void curl_sockets_release(struct curl_sockets *sockets, int fd);

#endif
