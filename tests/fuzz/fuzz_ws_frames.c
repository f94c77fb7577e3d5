/* Frames of a buyer's websocket. The first byte says how many bytes come with the handshake and
 * whether we send or close meanwhile; the rest is what the peer says. It ends once, or stays open;
 * its buffers stay bounded. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/loop.h"
#include "notifier/ws.h"

#define TURNS 8

static unsigned closed_times;

static void closed(const char *why, void *arg)
{
    struct ws **ws = arg;
    MUST(why != NULL && *ws != NULL);
    closed_times++;
    *ws = NULL;
}

static void drained(void *arg)
{
    (void)arg;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* Lets the loop run until it has looked at its sockets a few times. */
static void turn(struct loop *loop, struct loop_timer *timer)
{
    loop_timer_start(timer, 0, 0);
    loop_run(loop);
}

static void swallow(int fd)
{
    char bytes[4096];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ws_listener listener = {closed, drained};
    static struct loop *loop;
    static struct loop_timer *timer;
    int pair[2];
    if (size == 0)
        return 0;
    if (loop == NULL) {
        loop = loop_new();
        timer = loop_timer_new(loop, stop, loop);
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    unsigned script = data[0];
    size_t early = script % 16 < size - 1 ? script % 16 : size - 1;
    struct ws *ws = NULL;
    closed_times = 0;
    ws = ws_new(&(struct ws_options){loop, 20000, &listener}, pair[0], (const char *)data + 1,
                early, &ws);
    MUST(ws != NULL);
    size_t rest = size - 1 - early;
    size_t sent = 0;
    for (int i = 0; i < TURNS && ws != NULL; i++) {
        size_t piece = (rest - sent + 1) / 2;
        if (piece > 0 && send(pair[1], data + 1 + early + sent, piece, MSG_NOSIGNAL) > 0)
            sent += piece;
        if ((script & 16) != 0 && ws_send(ws, "{}", 2) == 0 && (script & 32) != 0)
            ws_close(ws, WS_CLOSE_RESTART, "bye", "leaving");
        turn(loop, timer);
        MUST(ws == NULL || ws_buffered(ws) <= WS_BUFFER_MAX + 64 * 1024);
        swallow(pair[1]);
    }
    (void)close(pair[1]);
    MUST(closed_times <= 1 && (closed_times == 1) == (ws == NULL));
    ws_free(ws);
    MUST(fcntl(pair[0], F_GETFD) == -1); /* closed */
    turn(loop, timer);                   /* handles are freed in the loop's next turn */
    return 0;
}
