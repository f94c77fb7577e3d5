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

#endif
