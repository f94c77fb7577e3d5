/* The payment gateway of the settings. */
#ifndef CONSUMER_GATEWAY_PAY_OPEN_H
#define CONSUMER_GATEWAY_PAY_OPEN_H

#include "common/base/loop.h"
#include "common/pay/pay.h"
#include "common/service/cfg.h"

/* Free it with pay_free. NULL: no memory. */
struct pay *pay_open(struct loop *loop, const struct cfg *cfg);

#endif
