/*
 * Very many websockets of a notifier, from one process. Commands on standard input, one a line;
 * each is answered by a line of JSON:
 *
 *     open            connects all that are not open, some at a time, each of a buyer of its own
 *     fan RATE COUNT  publishes COUNT events at this rate to buyers in turn, and reads them
 *     line            how many were told a place in line, the sum of the newest places, and how
 * many messages told one wait            until the server has closed all
 *
 * usage: checkout-bench-sockets EVENTS_HOST:PORT REDIS_HOST:PORT TOKENS_FILE SOCKETS
 * REDIS_PASSWORD is the password of Redis' default user. A line of TOKENS_FILE is the name of a
 * buyer, a blank, and a token. Connections come from several addresses of the loopback network,
 * since each has ports for 28,000 only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/client.h"

#define HANDSHAKES 256 /* at once */
#define HEAD 1024      /* bytes of a handshake's head, as browsers with cookies send it */
#define OF_ADDRESS 8000
#define CLOSED (-1)
#define IN_MAX 4096
#define TURN 512
#define CODES 5000
#define PATIENCE_US 60000000

enum phase { PHASE_CLOSED, PHASE_CONNECTING, PHASE_ANSWER, PHASE_OPEN };

struct peer {
    int fd;
    enum phase phase;
    const char *user;
    const char *token;
    uint64_t lost_us;
    size_t place; /* in line; 0: none */
};

struct bench {
    struct sockaddr_in to;
    const char *redis_address;
    struct peer *peers;
    size_t count;
    size_t open;
    size_t handshakes;
    int poll;
    uint32_t *times; /* of a fan-out, from PUBLISH to the read */
    uint64_t *published_us;
    size_t read;
    size_t wanted;
    size_t orders;          /* of the fan-outs before */
    size_t places;          /* messages with one */
    uint64_t closes[CODES]; /* by code */
};

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        client_die("%s is not host:port", text);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        client_die("%s is not an IPv4 address", host);
    return address;
}

/* ---- handshakes ---- */

static void begin(struct bench *b, struct peer *peer)
{
    size_t number = (size_t)(peer - b->peers);
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr =
                                   htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number / OF_ADDRESS))};
    int one = 1;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (peer->fd < 0)
        client_die("socket %zu: %s", number, strerror(errno));
    (void)setsockopt(peer->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(peer->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(peer->fd, (const struct sockaddr *)&b->to, sizeof b->to) != 0 &&
         errno != EINPROGRESS))
        client_die("socket %zu: %s", number, strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data = {.ptr = peer}};
    if (epoll_ctl(b->poll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        client_die("epoll: %s", strerror(errno));
    peer->phase = PHASE_CONNECTING;
    b->handshakes++;
}

static void ask(struct bench *b, struct peer *peer)
{
    char head[2 * HEAD];
    int len = snprintf(head, sizeof head,
                       "GET /v1/events HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\n"
                       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Protocol: cloudevents.json\r\nAuthorization: Bearer %s\r\n"
                       "Cookie: ",
                       peer->token);
    for (; len < HEAD - 4; len++)
        head[len] = 'x';
    memcpy(head + len, "\r\n\r\n", 4);
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = peer}};
    if (send(peer->fd, head, (size_t)len + 4, MSG_NOSIGNAL) != len + 4 ||
        epoll_ctl(b->poll, EPOLL_CTL_MOD, peer->fd, &event) != 0)
        client_die("handshake: %s", strerror(errno));
    peer->phase = PHASE_ANSWER;
}

static void drop(struct bench *b, struct peer *peer)
{
    if (peer->phase == PHASE_OPEN)
        b->open--;
    else
        b->handshakes--;
    (void)close(peer->fd);
    peer->fd = CLOSED;
    peer->phase = PHASE_CLOSED;
    peer->lost_us = client_now_us();
}

/* ---- frames ---- */

/* An empty frame. */
static void answer(const struct peer *peer, int opcode)
{
    const unsigned char frame[] = {(unsigned char)(0x80 | opcode), 0x80, 1, 2, 3, 4};
    if (send(peer->fd, frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame && errno != EPIPE &&
        errno != ECONNRESET)
        client_die("answering a frame: %s", strerror(errno));
}

static void close_came(struct bench *b, struct peer *peer, const unsigned char *payload,
                       size_t size)
{
    if (size >= 2)
        b->closes[((size_t)payload[0] << 8 | payload[1]) % CODES]++;
    answer(peer, 8);
    drop(b, peer);
}

/* A message of the place of an order has it; any other event of the order says that it has changed.
 */
static void place_came(struct bench *b, struct peer *peer, const char *text, size_t len)
{
    const char *mark = memmem(text, len, "\"place_in_line\":", 16);
    peer->place = mark == NULL ? 0 : strtoul(mark + 16, NULL, 10);
    b->places += mark != NULL;
}

static void event_came(struct bench *b, const char *text, size_t len)
{
    const char *mark = memmem(text, len, "\"reference\":\"fan-", 17);
    if (mark == NULL)
        return;
    size_t number = strtoul(mark + 17, NULL, 10);
    if (number >= b->wanted || b->published_us[number] == 0)
        client_die("an event that was not published: %zu", number);
    b->times[b->read++] = (uint32_t)(client_now_us() - b->published_us[number]);
    b->published_us[number] = 0; /* once */
}

/* What came at once holds whole frames: they are few and small. */
static void frames_came(struct bench *b, struct peer *peer, const unsigned char *in, size_t len)
{
    size_t at = 0;
    while (at + 2 <= len) {
        size_t size = in[at + 1];
        size_t head = 2;
        if (size == 126 && at + 4 <= len) {
            size = (size_t)in[at + 2] << 8 | in[at + 3];
            head = 4;
        }
        if (at + head + size > len)
            client_die("a frame in pieces");
        const unsigned char *payload = in + at + head;
        int opcode = in[at] & 15;
        if (opcode == 1) {
            event_came(b, (const char *)payload, size);
            place_came(b, peer, (const char *)payload, size);
        } else if (opcode == 9)
            answer(peer, 10);
        if (opcode == 8) {
            close_came(b, peer, payload, size);
            return;
        }
        at += head + size;
    }
}

static void readable(struct bench *b, struct peer *peer)
{
    static unsigned char in[65536];
    ssize_t len = recv(peer->fd, in, sizeof in - 1, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        drop(b, peer);
        return;
    }
    if (peer->phase == PHASE_OPEN) {
        frames_came(b, peer, in, (size_t)len);
        return;
    }
    in[len] = '\0';
    const char *end = strstr((const char *)in, "\r\n\r\n");
    if (strncmp((const char *)in, "HTTP/1.1 101 ", 13) != 0 || end == NULL) {
        if (strncmp((const char *)in, "HTTP/1.1 503 ", 13) != 0)
            client_die("not a websocket: %.60s", (const char *)in);
        drop(b, peer);
        return;
    }
    peer->phase = PHASE_OPEN;
    b->open++;
    b->handshakes--;
    size_t head = (size_t)(end - (const char *)in) + 4;
    frames_came(b, peer, in + head, (size_t)len - head);
}

static void turn(struct bench *b, int wait_ms)
{
    struct epoll_event events[TURN];
    int count = epoll_wait(b->poll, events, TURN, wait_ms);
    for (int i = 0; i < count; i++) {
        struct peer *peer = events[i].data.ptr;
        if (peer->phase == PHASE_CONNECTING && (events[i].events & EPOLLOUT) != 0 &&
            (events[i].events & (EPOLLERR | EPOLLHUP)) == 0)
            ask(b, peer);
        else if (peer->phase != PHASE_CLOSED)
            readable(b, peer);
    }
}

/* ---- commands ---- */

static void open_all(struct bench *b)
{
    uint64_t began_us = client_now_us();
    size_t next = 0;
    size_t tries = 0;
    while (b->open < b->count) {
        for (size_t seen = 0; seen < b->count && b->handshakes < HANDSHAKES; seen++) {
            struct peer *peer = &b->peers[next++ % b->count];
            if (peer->phase == PHASE_CLOSED) {
                begin(b, peer);
                tries++;
            }
        }
        turn(b, 10);
        if (client_now_us() - began_us > PATIENCE_US)
            client_die("only %zu of %zu are open", b->open, b->count);
    }
    (void)printf("{\"open\":%zu,\"tries\":%zu,\"seconds\":%.3f}\n", b->open, tries,
                 (double)(client_now_us() - began_us) / 1e6);
}

static void publish(struct bench *b, int redis, size_t number)
{
    char text[1024];
    char command[2048];
    const struct peer *peer = &b->peers[number % b->count];
    size_t order = b->orders + number;
    int len = snprintf(text, sizeof text,
                       "{\"specversion\":\"1.0\",\"id\":\"%zu\",\"source\":\"/checkout\","
                       "\"type\":\"checkout.order.reserved.v1\","
                       "\"subject\":\"5b1c9a70-3f0e-8a2b-9c4d-%012zx\","
                       "\"time\":\"2026-01-31T12:00:00.123Z\",\"datacontenttype\":"
                       "\"application/json\",\"sequence\":1,\"data\":{\"order_id\":"
                       "\"5b1c9a70-3f0e-8a2b-9c4d-%012zx\",\"sku\":\"dress-1920\",\"quantity\":1,"
                       "\"status\":\"reserved\",\"amount\":19900,\"currency\":\"usd\","
                       "\"reference\":\"fan-%zu\"}}",
                       order + 1, order, order, number);
    int channel = (int)(strlen("checkout:events:") + strlen(peer->user));
    int size = snprintf(command, sizeof command,
                        "*3\r\n$7\r\nPUBLISH\r\n$%d\r\ncheckout:events:%s\r\n$%d\r\n%s\r\n",
                        channel, peer->user, len, text);
    b->published_us[number] = client_now_us();
    if (send(redis, command, (size_t)size, MSG_NOSIGNAL) != size)
        client_die("Redis: %s", strerror(errno));
}

/* Its answers are integers, each a line; only how many listened counts. */
static void forget_answers(int redis)
{
    char answers[4096];
    while (recv(redis, answers, sizeof answers, MSG_DONTWAIT) > 0)
        if (answers[0] == '-')
            client_die("Redis: %.80s", answers);
}

/* The bench's own connection, with the password of REDIS_PASSWORD if there is one. */
static int connect_redis(const struct bench *b)
{
    char command[512];
    const char *password = getenv("REDIS_PASSWORD");
    int redis = client_connect(b->redis_address);
    if (password == NULL || password[0] == '\0')
        return redis;
    int size = snprintf(command, sizeof command, "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%s\r\n",
                        strlen(password), password);
    if (size >= (int)sizeof command || send(redis, command, (size_t)size, MSG_NOSIGNAL) != size)
        client_die("Redis: %s", strerror(errno));
    return redis;
}

static void fan(struct bench *b, double rate, size_t count)
{
    int redis = connect_redis(b);
    b->times = calloc(count, sizeof *b->times);
    b->published_us = calloc(count, sizeof *b->published_us);
    if (b->times == NULL || b->published_us == NULL)
        client_die("out of memory");
    b->read = 0;
    b->wanted = count;
    uint64_t began_us = client_now_us();
    size_t sent = 0;
    while (b->read < count) {
        uint64_t now_us = client_now_us();
        while (sent < count && (double)(now_us - began_us) * rate / 1e6 >= (double)sent)
            publish(b, redis, sent++);
        forget_answers(redis);
        turn(b, sent < count ? 0 : 10);
        if (now_us - began_us > PATIENCE_US + (uint64_t)((double)count / rate * 1e6))
            client_die("only %zu of %zu events came", b->read, count);
    }
    (void)printf("{\"events\":%zu,\"seconds\":%.3f,", count,
                 (double)(client_now_us() - began_us) / 1e6);
    client_print_times("", b->times, count);
    (void)printf("}\n");
    b->orders += count;
    free(b->times);
    free(b->published_us);
    (void)close(redis);
}

/* How far apart the first and the last were lost. */
static void wait_closed(struct bench *b)
{
    uint64_t began_us = client_now_us();
    uint64_t first_us = UINT64_MAX;
    uint64_t last_us = 0;
    while (b->open > 0) {
        turn(b, 10);
        if (client_now_us() - began_us > PATIENCE_US)
            client_die("%zu are still open", b->open);
    }
    for (size_t i = 0; i < b->count; i++) {
        uint64_t lost_us = b->peers[i].lost_us;
        first_us = lost_us < first_us ? lost_us : first_us;
        last_us = lost_us > last_us ? lost_us : last_us;
    }
    (void)printf("{\"spread_s\":%.3f", (double)(last_us - first_us) / 1e6);
    for (size_t code = 0; code < CODES; code++)
        if (b->closes[code] > 0)
            (void)printf(",\"%zu\":%" PRIu64, code, b->closes[code]);
    (void)printf("}\n");
}

static void tell_line(const struct bench *b)
{
    size_t told = 0;
    size_t sum = 0;
    for (size_t i = 0; i < b->count; i++) {
        told += b->peers[i].place > 0;
        sum += b->peers[i].place;
    }
    (void)printf("{\"told\":%zu,\"sum\":%zu,\"messages\":%zu}\n", told, sum, b->places);
}

static void prepare(struct bench *b, const char *const *arguments)
{
    struct client_tokens tokens = client_tokens_read(arguments[3]);
    b->to = address_of(arguments[1]);
    b->redis_address = arguments[2];
    b->count = strtoul(arguments[4], NULL, 10);
    b->poll = epoll_create1(EPOLL_CLOEXEC);
    b->peers = calloc(b->count, sizeof *b->peers);
    if (b->count == 0 || b->count > tokens.count || b->peers == NULL || b->poll < 0)
        client_die("there are %zu tokens for %zu sockets", tokens.count, b->count);
    for (size_t i = 0; i < b->count; i++) {
        char *blank = strchr(tokens.lines[i], ' ');
        if (blank == NULL)
            client_die("a line of %s is no buyer and token", arguments[3]);
        *blank = '\0';
        b->peers[i] = (struct peer){.fd = CLOSED, .user = tokens.lines[i], .token = blank + 1};
    }
}

/* Meanwhile pings are answered. */
static bool next_command(struct bench *b, char *line, size_t size)
{
    size_t len = 0;
    (void)fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    while (len + 1 < size) {
        ssize_t n = read(STDIN_FILENO, line + len, 1);
        if (n == 0)
            return false;
        if (n < 0)
            turn(b, 10);
        else if (line[len++] == '\n')
            break;
    }
    line[len] = '\0';
    return true;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    char line[256];
    double rate;
    size_t count;
    if (argc != 5)
        client_die("usage: %s EVENTS_HOST:PORT REDIS_HOST:PORT TOKENS_FILE SOCKETS", argv[0]);
    prepare(&bench, (const char *const *)argv);
    while (next_command(&bench, line, sizeof line)) {
        if (strcmp(line, "open\n") == 0)
            open_all(&bench);
        else if (strcmp(line, "line\n") == 0)
            tell_line(&bench);
        else if (strcmp(line, "wait\n") == 0)
            wait_closed(&bench);
        else if (sscanf(line, "fan %lf %zu", &rate, &count) == 2 && rate > 0 && count > 0)
            fan(&bench, rate, count);
        else
            client_die("not a command: %s", line);
        (void)fflush(stdout);
    }
    return EXIT_SUCCESS;
}
