/*
 * A gateway whose calls about an order have spans. It passes each call on to another gateway, under
 * the trace of its span, so that what the gateway does belongs to it.
 */
#ifndef CONSUMER_GATEWAY_TRACED_PAY_H
#define CONSUMER_GATEWAY_TRACED_PAY_H

#include "common/pay/pay.h"
#include "common/service/spans.h"

/* It owns `pay`, and frees it with itself (pay_free). `spans` NULL: returns `pay` itself. NULL: no
 * memory, or `pay` is NULL; then `pay` is freed. */
struct pay *traced_pay_new(struct pay *pay, struct spans *spans);

#endif
