/*
 * Orders over HTTP at a steady rate, however slow their answers are: each has its time, and its
 * latency counts from there, also while all connections wait for an answer. Prints one line of
 * JSON: what was answered, and how late the accepted ones were.
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
#define LATE_MS 30000 /* no answer for so long: the run is void */

struct connection {
    int fd;
    uint64_t due_us; /* of the order that it carries; 0: none */
    uint64_t number;
    size_t len;
    char in[ANSWER_MAX];
    struct connection *next_free;
};

struct run {
    struct client_order order;
    struct client_tokens tokens;
    double rate;
    uint64_t wanted;
    uint64_t sent;
    uint64_t answered;
    uint64_t begun_us;
    uint64_t last_us; /* the last order was accepted */
    int poll;
    struct connection *free;
    uint32_t statuses[STATUS_MAX];
    uint32_t *accepted_us;
    uint32_t *refused_us;
};

static void open_connection(const struct run *run, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
    connection->fd = client_connect(run->order.address);
    if (epoll_ctl(run->poll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        client_die("epoll: %s", strerror(errno));
}

static uint64_t due_us(const struct run *run, uint64_t number)
{
    return run->begun_us + (uint64_t)((double)number * 1e6 / run->rate);
}

static void send_order(const struct run *run, struct connection *connection)
{
    char request[CLIENT_REQUEST_MAX];
    const char *token = run->tokens.lines[(size_t)connection->number % run->tokens.count];
    size_t len = client_request(&run->order, token, connection->number, request);
    connection->len = 0;
    if (send(connection->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        client_die("sending an order: %s", strerror(errno));
}

static void send_due(struct run *run)
{
    uint64_t now = client_now_us();
    while (run->free != NULL && run->sent < run->wanted && due_us(run, run->sent) <= now) {
        struct connection *connection = run->free;
        run->free = connection->next_free;
        connection->number = run->sent;
        connection->due_us = due_us(run, run->sent++);
        send_order(run, connection);
    }
}

static void on_answer(struct run *run, const struct connection *connection, int status)
{
    uint64_t now = client_now_us();
    uint32_t late = (uint32_t)(now - connection->due_us);
    if (status == 202) {
        run->accepted_us[run->statuses[202]] = late;
        run->last_us = now;
    } else {
        run->refused_us[run->answered - run->statuses[202]] = late;
    }
    run->statuses[status > 0 && status < STATUS_MAX ? status : 0]++;
    run->answered++;
}

static void on_readable(struct run *run, struct connection *connection)
{
    ssize_t n = recv(connection->fd, connection->in + connection->len,
                     sizeof connection->in - connection->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 && connection->len > 0)
        client_die("a connection was closed after %llu answers", (unsigned long long)run->answered);
    if (n <= 0) { /* it was idle for long, perhaps until this order, which is sent again */
        (void)close(connection->fd);
        open_connection(run, connection);
        if (connection->due_us != 0)
            send_order(run, connection);
        return;
    }
    connection->len += (size_t)n;
    int status = 0;
    if (client_answer(connection->in, connection->len, &status) == 0) {
        if (connection->len == sizeof connection->in)
            client_die("an answer is too long");
        return;
    }
    on_answer(run, connection, status);
    connection->due_us = 0;
    connection->len = 0;
    connection->next_free = run->free;
    run->free = connection;
}

static void go(struct run *run, size_t count)
{
    struct connection *connections = calloc(count, sizeof *connections);
    run->poll = epoll_create1(EPOLL_CLOEXEC);
    if (connections == NULL || run->poll < 0)
        client_die("out of memory");
    for (size_t i = 0; i < count; i++) {
        open_connection(run, &connections[i]);
        connections[i].next_free = run->free;
        run->free = &connections[i];
    }
    run->begun_us = client_now_us();
    uint64_t heard_us = run->begun_us;
    while (run->answered < run->wanted) {
        struct epoll_event events[256];
        send_due(run);
        int n = epoll_wait(run->poll, events, 256, 1);
        if (n > 0)
            heard_us = client_now_us();
        else if (client_now_us() - heard_us > LATE_MS * 1000ULL)
            client_die("no answer for 30 s, after %llu answers", (unsigned long long)run->answered);
        for (int i = 0; i < n; i++)
            on_readable(run, events[i].data.ptr);
    }
    for (size_t i = 0; i < count; i++)
        (void)close(connections[i].fd);
    (void)close(run->poll);
    free(connections);
}

static void report(struct run *run)
{
    double seconds = (double)(run->last_us - run->begun_us) / 1e6;
    uint32_t accepted = run->statuses[202];
    (void)printf("{\"accepted\":%u,\"seconds\":%.6f,\"statuses\":{", accepted, seconds);
    const char *comma = "";
    for (int status = 0; status < STATUS_MAX; status++)
        if (run->statuses[status] > 0) {
            (void)printf("%s\"%d\":%u", comma, status, run->statuses[status]);
            comma = ",";
        }
    (void)printf("},");
    client_print_times("", run->accepted_us, accepted);
    (void)printf(",");
    client_print_times("refused_", run->refused_us, run->answered - accepted);
    (void)printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        (void)fprintf(stderr,
                      "usage: %s HOST:PORT CONNECTIONS ORDERS RATE ITEMS TOKENS_FILE KEY_PREFIX "
                      "PAYMENT_METHOD\n",
                      argv[0]);
        return EXIT_FAILURE;
    }
    struct run run = {.order = {.address = argv[1],
                                .items = (uint32_t)strtoul(argv[5], NULL, 10),
                                .key_prefix = argv[7],
                                .method = argv[8]},
                      .tokens = client_tokens_read(argv[6]),
                      .rate = strtod(argv[4], NULL),
                      .wanted = strtoull(argv[3], NULL, 10)};
    run.accepted_us = calloc(run.wanted + 1, sizeof *run.accepted_us);
    run.refused_us = calloc(run.wanted + 1, sizeof *run.refused_us);
    if (run.rate <= 0 || run.accepted_us == NULL || run.refused_us == NULL)
        client_die("no rate, or out of memory");
    srandom((unsigned)client_now_us());
    go(&run, strtoul(argv[2], NULL, 10));
    report(&run);
    free(run.accepted_us);
    free(run.refused_us);
    return EXIT_SUCCESS;
}
