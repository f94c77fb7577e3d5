/* The opening handshake of a websocket (RFC 6455): is it valid, and from an allowed origin? No
 * I/O. */
#ifndef NOTIFIER_HANDSHAKE_H
#define NOTIFIER_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/problem.h"

#define HANDSHAKE_PATH "/v1/events"
#define HANDSHAKE_ACCEPT_SIZE 29 /* base64 of 20 bytes and NUL */

struct origins;

/* What the request says; NULL: absent. */
struct handshake {
    const char *method;
    const char *path;
    const char *upgrade;
    const char *connection;
    const char *version;
    const char *key;
    const char *protocols;
    const char *origin;
    const char *last_event_id;
};

/* Why it is refused; `detail` is a static text. */
struct handshake_refusal {
    enum problem_type type;
    const char *detail;
};

/*
 * 0 with the id to replay after (-1: none asked), or ERR_REFUSED with `ret_refusal`. `origins`: the
 * allowed ones. It does not authenticate.
 */
MUST_CHECK int handshake_check(const struct handshake *handshake, const struct origins *origins,
                               int64_t *ret_after_id, struct handshake_refusal *ret_refusal);

/* Sec-WebSocket-Accept for a checked key. ERR_NOMEM at worst. */
MUST_CHECK int handshake_accept(const char *key, char ret_accept[HANDSHAKE_ACCEPT_SIZE]);

/* Whether a header that lists tokens holds `token`, in any case. NULL holds none. */
bool handshake_lists(const char *header, const char *token);

#endif
