/* Websockets that keep what they are sent, in place of notifier/ws.c. */
#ifndef TESTS_FAKE_WS_H
#define TESTS_FAKE_WS_H

#include <stdbool.h>
#include <stddef.h>

#include "notifier/ws.h"

#define FAKE_WS_SENT_MAX 512

struct ws {
    char *sent[FAKE_WS_SENT_MAX]; /* owned */
    size_t count;
    size_t buffered;   /* what ws_buffered says */
    int send_code;     /* what ws_send gives */
    bool want_drained; /* was asked for */
    bool closing;
};

/* Frees what it keeps. */
void fake_ws_clear(struct ws *ws);

#endif
