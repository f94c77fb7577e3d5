/* One websocket on a raw socket (frames by wslay): sends text, keeps it alive, closes it by the
 * protocol. */
#ifndef NOTIFIER_WS_H
#define NOTIFIER_WS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

#define WS_BUFFER_MAX ((size_t)128 * 1024) /* bytes that wait for a slow reader */
#define WS_BUFFER_LOW ((size_t)16 * 1024)  /* drained below this, the owner may send more */
#define WS_MESSAGE_MAX 4096                /* bytes of one incoming frame; content is ignored */

/* Close codes; those from 4000 are ours. */
#define WS_CLOSE_RESTART 1012 /* of IANA's registry: connect again, to this or another server */
#define WS_CLOSE_TRY_LATER 1013
#define WS_CLOSE_STAY_OVER 4001
#define WS_CLOSE_SILENT 4002
#define WS_CLOSE_TOO_OLD 4003

struct ws;

struct ws_listener {
    /* Once, from the loop, never from a call on `ws`, which is freed afterwards. `why` is a short
     * static word for logs and metrics. */
    void (*closed)(const char *why, void *arg);
    /* The buffer is empty, after ws_want_drained. */
    void (*drained)(void *arg);
};

struct ws_options {
    struct loop *loop;
    uint64_t ping_ms; /* between pings; a pong must come before the next */
    const struct ws_listener *listener;
};

/* Takes the connected socket, also on failure; it only reads the options. `extra`: bytes that
 * came already. NULL: no memory. */
struct ws *ws_new(const struct ws_options *options, int fd, const char *extra, size_t extra_len,
                  void *arg);

/* Queues a text message. ERR_FULL past WS_BUFFER_MAX, ERR_CLOSED when closing, ERR_NOMEM. */
MUST_CHECK int ws_send(struct ws *ws, const char *text, size_t len);
/* Bytes queued and not yet taken by the kernel. */
size_t ws_buffered(const struct ws *ws);
/* Asks for one call of `drained`. */
void ws_want_drained(struct ws *ws);

/* Sends a close frame after what is queued; `closed` follows within 10 s, with `why`. A second call
 * does nothing. */
void ws_close(struct ws *ws, uint16_t code, const char *reason, const char *why);
/* Ends it at once, without `closed`. NULL is allowed. */
void ws_free(struct ws *ws);

#endif
