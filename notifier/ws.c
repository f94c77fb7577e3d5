#include "notifier/ws.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define OUT_MAX ((size_t)16 * 1024)     /* frames gathered for one send(2) */
#define KERNEL_BUFFER (64 * 1024)       /* for sending: small, so that a slow reader shows here */
#define READ_BUDGET ((size_t)16 * 1024) /* bytes taken of one socket in one turn of the loop */
#define QUEUE_MAX 1024                  /* frames queued: a flood of pings causes as many pongs */
#define CLOSE_WAIT_MS 10000             /* for the queue, our close frame and the peer's */
#define LINGER_MS 2000                  /* for the peer to read our close frame before the reset */

enum state {
    STATE_OPEN,
    STATE_CLOSING,  /* our close frame is queued or sent */
    STATE_LINGERING /* nothing more to send: reads and ignores until the peer closes */
};

struct ws {
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer; /* open: the next ping; else the deadline */
    wslay_event_context_ptr context;
    const struct ws_listener *listener;
    void *arg;

    enum state state;
    const char *why; /* it ends */
    bool broken;     /* end it in the timer's next turn */
    bool awaits_pong;
    bool wants_drained;
    bool breached; /* the peer broke the protocol: wslay sends nothing any more, our close is in
                      `out` */
    size_t read_budget;
    struct buf extra; /* came with the handshake, not yet read */
    struct buf out;   /* frames on their way to the kernel */
};

/* ---- what wslay calls ---- */

static ssize_t take_bytes(wslay_event_context_ptr context, uint8_t *data, size_t len, int flags,
                          void *arg)
{
    (void)flags;
    struct ws *ws = arg;
    if (ws->extra.len > 0) {
        size_t n = len < ws->extra.len ? len : ws->extra.len;
        memcpy(data, ws->extra.data, n);
        buf_consume(&ws->extra, n);
        if (ws->extra.len == 0)
            buf_free(&ws->extra);
        return (ssize_t)n;
    }
    if (ws->read_budget == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    ssize_t n = recv(ws->fd, data, len < ws->read_budget ? len : ws->read_budget, 0);
    if (n > 0) {
        ws->read_budget -= (size_t)n;
        return n;
    }
    bool later = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (!later && ws->why == NULL)
        ws->why = "gone";
    wslay_event_set_error(context, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

/* Gathers frames, so that the kernel gets them in one call. */
static ssize_t give_bytes(wslay_event_context_ptr context, const uint8_t *data, size_t len,
                          int flags, void *arg)
{
    (void)flags;
    struct ws *ws = arg;
    size_t room = OUT_MAX - ws->out.len;
    size_t n = len < room ? len : room;
    if (n == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (buf_append(&ws->out, data, n) < 0) {
        wslay_event_set_error(context, WSLAY_ERR_NOMEM);
        return -1;
    }
    return (ssize_t)n;
}

static void message_came(wslay_event_context_ptr context,
                         const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
    (void)context;
    struct ws *ws = arg;
    if (message->opcode == WSLAY_PONG)
        ws->awaits_pong = false;
    else if (message->opcode == WSLAY_CONNECTION_CLOSE && message->msg_length == 1)
        ws->breached = true; /* a code has two bytes, which wslay does not insist on */
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = take_bytes,
    .send_callback = give_bytes,
    .on_msg_recv_callback = message_came,
};

/* ---- the end ---- */

static void end(struct ws *ws)
{
    const struct ws_listener *listener = ws->listener;
    const char *why = ws->why == NULL ? "gone" : ws->why;
    void *arg = ws->arg;
    ws_free(ws);
    listener->closed(why, arg);
}

/* Ends it soon, not on the caller's stack. */
static void end_soon(struct ws *ws)
{
    if (ws->broken)
        return;
    ws->broken = true;
    loop_watch_set(ws->watch, 0);
    loop_timer_start(ws->timer, 0, 0);
}

/* ---- bytes ---- */

/* Sends what is gathered: 1 when all is sent, 0 when the kernel is full, ERR_CLOSED. */
static int send_out(struct ws *ws)
{
    while (ws->out.len > 0) {
        ssize_t n = send(ws->fd, ws->out.data, ws->out.len, MSG_NOSIGNAL);
        if (n > 0)
            buf_consume(&ws->out, (size_t)n);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        else if (errno != EINTR)
            return ERR_CLOSED;
    }
    buf_free(&ws->out); /* most sockets are idle most of the time */
    return 1;
}

static bool wslay_wants_write(const struct ws *ws)
{
    return !ws->breached && wslay_event_want_write(ws->context);
}

/* Writes until the kernel is full or all is sent. ERR_CLOSED: the connection has ended. */
static int flush(struct ws *ws)
{
    int sent = 0;
    do {
        if (wslay_wants_write(ws) && wslay_event_send(ws->context) != 0)
            return ERR_CLOSED;
        sent = send_out(ws);
    } while (sent == 1 && wslay_wants_write(ws));
    return sent < 0 ? sent : 0;
}

static bool wants_write(const struct ws *ws)
{
    return ws->out.len > 0 || wslay_wants_write(ws);
}

static void watch_again(struct ws *ws)
{
    bool read =
        ws->state == STATE_LINGERING || (!ws->breached && wslay_event_want_read(ws->context));
    loop_watch_set(ws->watch, (read ? LOOP_READ : 0) | (wants_write(ws) ? LOOP_WRITE : 0));
}

static void enter_closing(struct ws *ws, const char *why)
{
    if (ws->state != STATE_OPEN)
        return;
    ws->state = STATE_CLOSING;
    if (ws->why == NULL)
        ws->why = why;
    loop_timer_start(ws->timer, CLOSE_WAIT_MS, 0);
}

/* Reads and discards; false: the peer has closed. */
static bool discard(struct ws *ws)
{
    char bytes[4096];
    ssize_t n = recv(ws->fd, bytes, sizeof bytes, 0);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

/* All is sent: closes, or lingers where unread bytes would turn the close into a reset. */
static bool finished(struct ws *ws)
{
    if (wants_write(ws) || (!ws->breached && wslay_event_want_read(ws->context)))
        return false;
    if (!ws->breached && wslay_event_get_close_received(ws->context))
        return true;
    ws->state = STATE_LINGERING;
    (void)shutdown(ws->fd, SHUT_WR);
    loop_timer_start(ws->timer, LINGER_MS, 0);
    return false;
}

static const char *why_closing(const struct ws *ws)
{
    if (wslay_event_get_close_received(ws->context))
        return "peer";
    return wslay_event_get_read_enabled(ws->context) ? NULL : "protocol";
}

/* Reads what came. False: the connection is to end at once. */
static bool take_frames(struct ws *ws)
{
    static const unsigned char close_1002[] = {0x88, 2, 1002 >> 8, 1002 & 255};
    ws->read_budget = READ_BUDGET;
    int code = wslay_event_recv(ws->context);
    if (wslay_event_get_queued_msg_count(ws->context) > QUEUE_MAX)
        return false;
    /* Of a frame that cannot be one wslay says only that it failed, and its close has no code. */
    ws->breached = ws->breached || code == WSLAY_ERR_CALLBACK_FAILURE;
    if (code != 0 && (code != WSLAY_ERR_CALLBACK_FAILURE || ws->why != NULL))
        return false;
    if (!ws->breached)
        return true;
    if (ws->state != STATE_OPEN || ws->out.len > 0 || /* there may be half a frame in it */
        buf_append(&ws->out, close_1002, sizeof close_1002) < 0)
        return false;
    enter_closing(ws, "protocol");
    return true;
}

static void ready(int events, void *arg)
{
    struct ws *ws = arg;
    if (ws->state == STATE_LINGERING) {
        if (!discard(ws))
            end(ws);
        return;
    }
    if ((events & LOOP_READ) != 0) {
        if (!take_frames(ws)) {
            end(ws);
            return;
        }
        const char *why = why_closing(ws);
        if (why != NULL)
            enter_closing(ws, why);
    }
    if (flush(ws) < 0 || (ws->state == STATE_CLOSING && finished(ws))) {
        end(ws);
        return;
    }
    watch_again(ws);
    if (ws->wants_drained && ws_buffered(ws) <= WS_BUFFER_LOW) {
        ws->wants_drained = false;
        ws->listener->drained(ws->arg);
    }
}

static void push(struct ws *ws)
{
    if (flush(ws) < 0)
        end_soon(ws);
    else
        watch_again(ws);
}

static void timer_fired(void *arg)
{
    struct ws *ws = arg;
    if (ws->broken || ws->state != STATE_OPEN) {
        end(ws);
        return;
    }
    if (ws->awaits_pong) {
        ws_close(ws, WS_CLOSE_SILENT, "no pong", "silent");
        return;
    }
    const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    ws->awaits_pong = wslay_event_queue_msg(ws->context, &ping) == 0;
    push(ws);
}

/* ---- the public calls ---- */

struct ws *ws_new(const struct ws_options *options, int fd, const char *extra, size_t extra_len,
                  void *arg)
{
    struct ws *ws = calloc(1, sizeof *ws);
    if (ws == NULL) {
        (void)close(fd);
        return NULL;
    }
    ws->fd = fd;
    ws->listener = options->listener;
    ws->arg = arg;
    buf_init(&ws->extra, extra_len);
    buf_init(&ws->out, OUT_MAX);
    ws->watch = loop_watch_new(options->loop, fd, ready, ws);
    ws->timer = loop_timer_new(options->loop, timer_fired, ws);
    if (ws->watch == NULL || ws->timer == NULL || buf_append(&ws->extra, extra, extra_len) < 0 ||
        wslay_event_context_server_init(&ws->context, &callbacks, ws) != 0) {
        ws_free(ws);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(ws->context, WS_MESSAGE_MAX);
    wslay_event_config_set_no_buffering(ws->context, 1); /* input is ignored now */
    int size = KERNEL_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* a wish */
    loop_timer_start(ws->timer, options->ping_ms, options->ping_ms);
    /* Both: the first turn reads what came with the handshake, even if no more bytes arrive. */
    loop_watch_set(ws->watch, LOOP_READ | LOOP_WRITE);
    return ws;
}

int ws_send(struct ws *ws, const char *text, size_t len)
{
    if (ws->state != STATE_OPEN || ws->broken)
        return ERR_CLOSED;
    if (len > WS_BUFFER_MAX - ws_buffered(ws))
        return ERR_FULL;
    const struct wslay_event_msg message = {WSLAY_TEXT_FRAME, (const uint8_t *)text, len};
    if (wslay_event_queue_msg(ws->context, &message) != 0)
        return ERR_NOMEM;
    watch_again(ws); /* it leaves together with the other frames of this turn */
    return 0;
}

size_t ws_buffered(const struct ws *ws)
{
    return ws->out.len + wslay_event_get_queued_msg_length(ws->context);
}

void ws_want_drained(struct ws *ws)
{
    ws->wants_drained = true;
    loop_watch_set(ws->watch,
                   LOOP_READ | LOOP_WRITE); /* so that it comes even with nothing to send */
}

void ws_close(struct ws *ws, uint16_t code, const char *reason, const char *why)
{
    if (ws->state != STATE_OPEN || ws->broken)
        return;
    enter_closing(ws, why);
    if (wslay_event_queue_close(ws->context, code, (const uint8_t *)reason, strlen(reason)) != 0)
        end_soon(ws);
    else
        push(ws);
}

void ws_free(struct ws *ws)
{
    if (ws == NULL)
        return;
    loop_watch_free(ws->watch);
    loop_timer_free(ws->timer);
    if (ws->context != NULL)
        wslay_event_context_free(ws->context);
    buf_free(&ws->extra);
    buf_free(&ws->out);
    (void)close(ws->fd);
    free(ws);
}
