#include "tests/fake/fake_ws.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void fake_ws_clear(struct ws *ws)
{
    for (size_t i = 0; i < ws->count; i++)
        free(ws->sent[i]);
    *ws = (struct ws){0};
}

int ws_send(struct ws *ws, const char *text, size_t len)
{
    if (ws->send_code < 0)
        return ws->send_code;
    ck_assert_uint_lt(ws->count, FAKE_WS_SENT_MAX);
    ws->sent[ws->count++] = strndup(text, len);
    return 0;
}

size_t ws_buffered(const struct ws *ws)
{
    return ws->buffered;
}

void ws_want_drained(struct ws *ws)
{
    ws->want_drained = true;
}

void ws_close(struct ws *ws, uint16_t code, const char *reason, const char *why)
{
    (void)code;
    (void)reason;
    (void)why;
    ws->closing = true;
}
