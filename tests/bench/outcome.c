/*
 * From the click to the news: buyers with open websockets order at a steady rate, and the time from
 * the moment an order was due to be sent until its final event reached its buyer is measured. With
 * 0 orders it only listens, until SIGTERM. Prints one line of JSON.
 */
#include "tests/bench/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENERS_MAX 1024
#define DOORS 64 /* keep-alive connections that orders are sent on */
#define FRAME_MAX 65536
#define PATIENCE_US 20000000 /* for the last events, unless said otherwise */

enum kind { KIND_DOOR, KIND_LISTENER };

struct peer {
    enum kind kind;
    int fd;
    bool busy;       /* a door: an answer is awaited */
    bool open;       /* a listener: the handshake is done */
    uint64_t number; /* a door: of the order that it waits for */
    size_t len;
    char in[FRAME_MAX];
};

struct outcome {
    struct client_order order;
    const char *events_address;
    struct client_tokens tokens;
    uint64_t wanted;
    uint64_t patience_us;
    uint64_t sent;
    uint64_t accepted;
    uint64_t refused; /* at the door (409), which is a buyer's last answer, too */
    uint64_t finished;
    uint64_t events;
    uint64_t late; /* orders that were sent after their time, for want of a free connection */
    uint64_t *due_us;
    uint32_t *times;        /* of the finished ones */
    uint32_t *answer_times; /* of the accepted ones, until their 202 */
    bool *done;
    struct peer *peers;
    size_t peer_count;
    int poll;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static struct peer *add_peer(struct outcome *o, enum kind kind, const char *address)
{
    struct peer *peer = &o->peers[o->peer_count++];
    peer->kind = kind;
    peer->fd = client_connect(address);
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = peer}};
    if (epoll_ctl(o->poll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        client_die("epoll: %s", strerror(errno));
    return peer;
}

static void send_all(int fd, const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
        client_die("sending: %s", strerror(errno));
}

static void shake_hands(const struct outcome *o, const struct peer *peer, const char *token)
{
    char request[CLIENT_REQUEST_MAX];
    int len = snprintf(request, sizeof request,
                       "GET /v1/events HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                       "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Protocol: cloudevents.json\r\n\r\n",
                       o->events_address, token);
    send_all(peer->fd, request, (size_t)len);
}

/* ------------------------------------------------------------------ events */

static void finish(struct outcome *o, uint64_t number)
{
    o->done[number] = true;
    o->times[o->finished++] = (uint32_t)(client_now_us() - o->due_us[number]);
}

static void on_event(struct outcome *o, const char *text, size_t len)
{
    char reference[128]; /* with the run's own prefix: a replay may tell of earlier runs */
    size_t reference_len =
        (size_t)snprintf(reference, sizeof reference, "\"reference\":\"%s.", o->order.key_prefix);
    o->events++;
    const char *found = memmem(text, len, reference, reference_len);
    bool final = memmem(text, len, "checkout.order.confirmed", 24) != NULL ||
                 memmem(text, len, "checkout.order.rejected", 23) != NULL;
    if (found == NULL || !final)
        return;
    uint64_t number = strtoull(found + reference_len, NULL, 10);
    if (number >= o->wanted || o->done[number])
        return;
    finish(o, number);
}

/* Answers a ping with its own payload, masked with zeros. */
static void pong(const struct peer *peer, const char *payload, size_t len)
{
    char frame[6 + 125] = {(char)0x8a, (char)(0x80 | len)};
    memcpy(frame + 6, payload, len);
    send_all(peer->fd, frame, 6 + len);
}

/* The bytes of the first frame in the buffer, 0 if it is not complete. */
static size_t on_frame(struct outcome *o, struct peer *peer, const char *data, size_t len)
{
    const unsigned char *head = (const unsigned char *)data;
    if (len < 2)
        return 0;
    size_t start = 2;
    size_t size = head[1] & 0x7f;
    if (size == 126) {
        if (len < 4)
            return 0;
        size = (size_t)head[2] << 8 | head[3];
        start = 4;
    } else if (size == 127) {
        client_die("an event of more than 64 KiB");
    }
    if (len < start + size)
        return 0;
    int opcode = head[0] & 0x0f;
    if (opcode == 1)
        on_event(o, data + start, size);
    else if (opcode == 9)
        pong(peer, data + start, size);
    else if (opcode == 8)
        client_die("a websocket was closed with %u",
                   size >= 2 ? (unsigned)head[start] << 8 | head[start + 1] : 0);
    return start + size;
}

static void take_frames(struct outcome *o, struct peer *peer)
{
    size_t used = 0;
    if (!peer->open) {
        const char *end = memmem(peer->in, peer->len, "\r\n\r\n", 4);
        if (end == NULL)
            return;
        if (memcmp(peer->in, "HTTP/1.1 101", 12) != 0)
            client_die("the websocket was refused: %.40s", peer->in);
        peer->open = true;
        used = (size_t)(end - peer->in) + 4;
    }
    for (size_t n = 1; n > 0; used += n)
        n = on_frame(o, peer, peer->in + used, peer->len - used);
    memmove(peer->in, peer->in + used, peer->len - used);
    peer->len -= used;
}

/* ------------------------------------------------------------------ orders */

static struct peer *free_door(struct outcome *o)
{
    for (size_t i = 0; i < o->peer_count; i++)
        if (o->peers[i].kind == KIND_DOOR && !o->peers[i].busy)
            return &o->peers[i];
    return NULL;
}

/* Sends what is due; the microseconds until the next one. */
static uint64_t send_due(struct outcome *o)
{
    for (;;) {
        uint64_t now = client_now_us();
        if (o->sent == o->wanted)
            return PATIENCE_US;
        if (o->due_us[o->sent] > now)
            return o->due_us[o->sent] - now;
        struct peer *door = free_door(o);
        if (door == NULL) {
            o->late++;
            return 1000;
        }
        char request[CLIENT_REQUEST_MAX];
        const char *token = o->tokens.lines[o->sent % o->tokens.count];
        size_t len = client_request(&o->order, token, o->sent, request);
        door->busy = true;
        door->number = o->sent++;
        send_all(door->fd, request, len);
    }
}

static void take_answer(struct outcome *o, struct peer *peer)
{
    int status = 0;
    if (client_answer(peer->in, peer->len, &status) == 0)
        return;
    if (status == 409) {
        o->refused++;
        finish(o, peer->number);
    } else if (status == 202) {
        o->answer_times[o->accepted++] = (uint32_t)(client_now_us() - o->due_us[peer->number]);
    } else {
        client_die("an order was answered with %d", status);
    }
    peer->len = 0;
    peer->busy = false;
}

static void on_readable(struct outcome *o, struct peer *peer)
{
    ssize_t n = recv(peer->fd, peer->in + peer->len, sizeof peer->in - peer->len, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 && peer->kind == KIND_DOOR && !peer->busy && o->sent == o->wanted) {
        (void)close(peer->fd); /* the server ends what has been idle for a minute */
        return;
    }
    if (n <= 0)
        client_die("a %s was closed", peer->kind == KIND_DOOR ? "connection" : "websocket");
    peer->len += (size_t)n;
    if (peer->kind == KIND_DOOR)
        take_answer(o, peer);
    else
        take_frames(o, peer);
}

static void wait_for(struct outcome *o, uint64_t us)
{
    struct epoll_event events[256];
    struct timespec timeout = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    int n = epoll_pwait2(o->poll, events, 256, &timeout, NULL);
    for (int i = 0; i < n; i++)
        on_readable(o, events[i].data.ptr);
}

static void open_listeners(struct outcome *o)
{
    size_t count = o->tokens.count < LISTENERS_MAX ? o->tokens.count : LISTENERS_MAX;
    o->tokens.count = count; /* every buyer listens */
    for (size_t i = 0; i < count; i++) {
        struct peer *peer = add_peer(o, KIND_LISTENER, o->events_address);
        shake_hands(o, peer, o->tokens.lines[i]);
        uint64_t end = client_now_us() + PATIENCE_US;
        while (!peer->open) {
            if (client_now_us() > end)
                client_die("a websocket is not open after 20 s");
            wait_for(o, 100000);
        }
    }
}

static void run(struct outcome *o, uint64_t rate)
{
    open_listeners(o);
    for (int i = 0; i < DOORS && o->wanted > 0; i++)
        (void)add_peer(o, KIND_DOOR, o->order.address);
    (void)fprintf(stderr, "listening\n");
    uint64_t start = client_now_us() + 1000;
    for (uint64_t i = 0; i < o->wanted; i++)
        o->due_us[i] = start + i * 1000000 / rate;
    uint64_t end = start + o->patience_us + (o->wanted > 0 ? o->wanted * 1000000 / rate : 0);
    while (stopping == 0 && (o->wanted == 0 || o->finished < o->wanted)) {
        if (o->wanted > 0 && client_now_us() > end)
            break;
        uint64_t pause = send_due(o);
        wait_for(o, pause < 100000 ? pause : 100000);
    }
}

int main(int argc, char **argv)
{
    if (argc != 9 && argc != 10) {
        (void)fprintf(stderr,
                      "usage: %s HOST:PORT EVENTS_HOST:PORT ORDERS RATE ITEMS TOKENS_FILE "
                      "KEY_PREFIX PAYMENT_METHOD[,…] [PATIENCE_S]\n",
                      argv[0]);
        return EXIT_FAILURE;
    }
    struct outcome o = {.order = {.address = argv[1],
                                  .items = (uint32_t)strtoul(argv[5], NULL, 10),
                                  .key_prefix = argv[7],
                                  .method = argv[8]},
                        .events_address = argv[2],
                        .tokens = client_tokens_read(argv[6]),
                        .wanted = strtoull(argv[3], NULL, 10),
                        .patience_us =
                            argc < 10 ? PATIENCE_US : strtoull(argv[9], NULL, 10) * 1000000,
                        .poll = epoll_create1(EPOLL_CLOEXEC)};
    (void)signal(SIGTERM, on_signal);
    srandom((unsigned)client_now_us());
    o.due_us = calloc(o.wanted + 1, sizeof *o.due_us);
    o.times = calloc(o.wanted + 1, sizeof *o.times);
    o.answer_times = calloc(o.wanted + 1, sizeof *o.answer_times);
    o.done = calloc(o.wanted + 1, sizeof *o.done);
    o.peers = calloc(LISTENERS_MAX + DOORS, sizeof *o.peers);
    if (o.due_us == NULL || o.times == NULL || o.answer_times == NULL || o.done == NULL ||
        o.peers == NULL || o.poll < 0)
        client_die("out of memory");
    run(&o, strtoull(argv[4], NULL, 10));
    (void)printf(
        "{\"accepted\":%llu,\"refused\":%llu,\"finished\":%llu,\"events\":%llu,\"late\":%llu,",
        (unsigned long long)o.accepted, (unsigned long long)o.refused,
        (unsigned long long)o.finished, (unsigned long long)o.events, (unsigned long long)o.late);
    client_print_times("answer_", o.answer_times, o.accepted);
    (void)printf(",");
    client_print_times("", o.times, o.finished);
    (void)printf("}\n");
    free(o.due_us);
    free(o.times);
    free(o.answer_times);
    free(o.done);
    free(o.peers);
    return EXIT_SUCCESS;
}
