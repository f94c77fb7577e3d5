/*
 * Orders over HTTP keep-alive as fast as they are accepted: N connections, one order on each at a
 * time, one thread, distinct Idempotency-Keys, tokens of many buyers, random items. Prints one line
 * of JSON: how many were accepted, in how many seconds, with which latencies.
 */
#include "tests/bench/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 8192
#define STATUS_MAX 600

struct connection {
    int fd;
    uint64_t sent_us;
    size_t len;
    char in[ANSWER_MAX];
};

struct load {
    struct client_order order;
    struct client_tokens tokens;
    uint64_t wanted;
    uint64_t sent;
    uint64_t answered;
    uint64_t first_us;
    uint64_t last_us;
    uint32_t statuses[STATUS_MAX];
    uint32_t *times;
};

static void send_order(struct load *load, struct connection *connection)
{
    char request[CLIENT_REQUEST_MAX];
    uint64_t number = load->sent++;
    const char *token = load->tokens.lines[(size_t)random() % load->tokens.count];
    size_t len = client_request(&load->order, token, number, request);
    connection->len = 0;
    connection->sent_us = client_now_us();
    /* a request is small, and the socket's buffer empty: it fits whole */
    if (send(connection->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        client_die("sending an order: %s", strerror(errno));
}

static void on_answer(struct load *load, struct connection *connection, int status)
{
    uint64_t now = client_now_us();
    load->times[load->answered++] = (uint32_t)(now - connection->sent_us);
    load->statuses[status > 0 && status < STATUS_MAX ? status : 0]++;
    load->last_us = now;
    if (load->sent < load->wanted)
        send_order(load, connection);
}

static void on_readable(struct load *load, struct connection *connection)
{
    ssize_t n = recv(connection->fd, connection->in + connection->len,
                     sizeof connection->in - connection->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        client_die("a connection was closed after %llu answers",
                   (unsigned long long)load->answered);
    connection->len += (size_t)n;
    int status = 0;
    size_t whole = client_answer(connection->in, connection->len, &status);
    if (whole == 0 && connection->len == sizeof connection->in)
        client_die("an answer is too long");
    if (whole > 0)
        on_answer(load, connection, status);
}

static void run(struct load *load, size_t connection_count)
{
    struct connection *connections = calloc(connection_count, sizeof *connections);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (connections == NULL || poll < 0)
        client_die("out of memory");
    for (size_t i = 0; i < connection_count; i++) {
        connections[i].fd = client_connect(load->order.address);
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &connections[i]}};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            client_die("epoll: %s", strerror(errno));
    }
    load->first_us = client_now_us();
    for (size_t i = 0; i < connection_count && load->sent < load->wanted; i++)
        send_order(load, &connections[i]);
    while (load->answered < load->wanted) {
        struct epoll_event events[256];
        int n = epoll_wait(poll, events, 256, 30000);
        if (n == 0)
            client_die("no answer for 30 s, after %llu answers",
                       (unsigned long long)load->answered);
        for (int i = 0; i < n; i++)
            on_readable(load, events[i].data.ptr);
    }
    for (size_t i = 0; i < connection_count; i++)
        (void)close(connections[i].fd);
    (void)close(poll);
    free(connections);
}

static void report(struct load *load)
{
    double seconds = (double)(load->last_us - load->first_us) / 1e6;
    (void)printf("{\"accepted\":%u,\"seconds\":%.6f,\"statuses\":{", load->statuses[202], seconds);
    const char *comma = "";
    for (int status = 0; status < STATUS_MAX; status++)
        if (load->statuses[status] > 0) {
            (void)printf("%s\"%d\":%u", comma, status, load->statuses[status]);
            comma = ",";
        }
    (void)printf("},");
    client_print_times("", load->times, load->answered);
    (void)printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        (void)fprintf(stderr,
                      "usage: %s HOST:PORT CONNECTIONS ORDERS ITEMS TOKENS_FILE KEY_PREFIX "
                      "PAYMENT_METHOD\n",
                      argv[0]);
        return EXIT_FAILURE;
    }
    struct load load = {.order = {.address = argv[1],
                                  .items = (uint32_t)strtoul(argv[4], NULL, 10),
                                  .key_prefix = argv[6],
                                  .method = argv[7]},
                        .tokens = client_tokens_read(argv[5]),
                        .wanted = strtoull(argv[3], NULL, 10)};
    srandom((unsigned)client_now_us());
    load.times = calloc(load.wanted + 1, sizeof *load.times);
    if (load.times == NULL)
        client_die("out of memory");
    run(&load, strtoul(argv[2], NULL, 10));
    report(&load);
    free(load.times);
    return EXIT_SUCCESS;
}
