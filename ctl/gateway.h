/* The payment gateway, for commands that ask it themselves. */
#ifndef CTL_GATEWAY_H
#define CTL_GATEWAY_H

#include "common/pay/pay.h"
#include "ctl/ctl.h"

#define GATEWAY_SETTINGS                                                                           \
    (CFG_BIT(GATEWAY_URL) | CFG_BIT(GATEWAY_VERSION) | CFG_BIT(GATEWAY_KEY_FILE) |                 \
     CFG_BIT(GATEWAY_CA_FILE) | CFG_BIT(GATEWAY_TIMEOUT))

/* By these settings; an answer may take `timeout_ms` at most. NULL: no memory. */
struct pay *gateway_open(struct loop *loop, const struct cfg *cfg, uint32_t timeout_ms);

/* Sends a question whose callback notes its code and stops the loop. 0, or why it was not sent. */
typedef int (*gateway_ask_cb)(void *arg);
/* Asks and waits; asks again, four times in all, if the gateway fails for a moment. `code`: where
 * the callback notes it, and what is returned. */
MUST_CHECK int gateway_ask(struct ctl *ctl, gateway_ask_cb ask, void *arg, int *code);

#endif
