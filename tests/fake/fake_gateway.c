#include "tests/fake/fake_gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

static size_t inflight(const struct pay *pay)
{
    return ((const struct fake_gateway *)pay)->inflight;
}

static int take(const char *verb, const char *order_id, const char *key, pay_answer_cb cb,
                void *arg)
{
    struct fake_gateway *g = &fake_gateway;
    if (g->refuse != 0)
        return g->refuse;
    if (g->inflight >= g->inflight_max)
        return ERR_FULL;
    if (g->count == FAKE_GATEWAY_CALLS)
        abort();
    struct fake_call *call = &g->calls[g->count++];
    *call = (struct fake_call){.cb = cb, .arg = arg};
    (void)snprintf(call->verb, sizeof call->verb, "%s", verb);
    (void)snprintf(call->order_id, sizeof call->order_id, "%s", order_id);
    (void)snprintf(call->key, sizeof call->key, "%s", key);
    g->inflight++;
    return 0;
}

static int traced(int code, const char *traceparent)
{
    struct fake_gateway *g = &fake_gateway;
    if (code == 0)
        (void)snprintf(g->calls[g->count - 1].traceparent, sizeof g->calls[0].traceparent, "%s",
                       traceparent == NULL ? "" : traceparent);
    return code;
}

static int charge(struct pay *pay, const struct pay_charge *c, pay_answer_cb cb, void *arg)
{
    (void)pay;
    return traced(take("charge", c->order_id, c->idempotency_key, cb, arg), c->traceparent);
}

static int get(struct pay *pay, const struct pay_charge *c, const char *intent_id, pay_answer_cb cb,
               void *arg)
{
    (void)pay;
    return traced(take("get", c->order_id, intent_id, cb, arg), c->traceparent);
}

static int cancel(struct pay *pay, const struct pay_charge *c, const char *intent_id,
                  pay_answer_cb cb, void *arg)
{
    (void)pay;
    return traced(take("cancel", c->order_id, intent_id, cb, arg), c->traceparent);
}

static int refund(struct pay *pay, const struct pay_refund *r, pay_answer_cb cb, void *arg)
{
    (void)pay;
    return traced(take("refund", r->order_id, r->idempotency_key, cb, arg), r->traceparent);
}

static int find_refund(struct pay *pay, const struct pay_refund *r, pay_answer_cb cb, void *arg)
{
    (void)pay;
    return traced(take("find", r->order_id, r->intent_id, cb, arg), r->traceparent);
}

static int list(struct pay *pay, int64_t created_from_s, const char *after, unsigned limit,
                pay_list_cb cb, void *arg)
{
    (void)pay;
    (void)limit;
    int code = take("list", "", after == NULL ? "" : after, NULL, arg);
    if (code == 0) {
        fake_gateway.calls[fake_gateway.count - 1].list_cb = cb;
        fake_gateway.calls[fake_gateway.count - 1].from_s = created_from_s;
    }
    return code;
}

static int returns(struct pay *pay, enum pay_return_kind kind, const char *intent_id,
                   const char *after, pay_returns_cb cb, void *arg)
{
    (void)pay;
    (void)after;
    int code = take(kind == PAY_RETURN_REFUND ? "refunds" : "disputes", "",
                    intent_id == NULL ? "" : intent_id, NULL, arg);
    if (code == 0)
        fake_gateway.calls[fake_gateway.count - 1].returns_cb = cb;
    return code;
}

static void forget(struct pay *pay)
{
    ((struct fake_gateway *)pay)->inflight = 0;
}

static const struct pay_ops operations = {.charge = charge,
                                          .get = get,
                                          .cancel = cancel,
                                          .refund = refund,
                                          .find_refund = find_refund,
                                          .list = list,
                                          .returns = returns,
                                          .inflight = inflight,
                                          .free = forget};

struct fake_gateway fake_gateway;

void fake_gateway_reset(void)
{
    memset(&fake_gateway, 0, sizeof fake_gateway);
    fake_gateway.pay.ops = &operations;
    fake_gateway.inflight_max = FAKE_GATEWAY_CALLS;
}

struct fake_call *fake_gateway_open(void)
{
    for (size_t i = fake_gateway.count; i-- > 0;)
        if (!fake_gateway.calls[i].answered)
            return &fake_gateway.calls[i];
    return NULL;
}

size_t fake_gateway_made(const char *verb)
{
    size_t made = 0;
    for (size_t i = 0; i < fake_gateway.count; i++)
        made += strcmp(fake_gateway.calls[i].verb, verb) == 0;
    return made;
}

void fake_gateway_answer(struct fake_call *call, const struct pay_answer *answer)
{
    call->answered = true;
    fake_gateway.inflight--;
    call->cb(answer, call->arg);
}

void fake_gateway_page(struct fake_call *call, const struct pay_page *page)
{
    call->answered = true;
    fake_gateway.inflight--;
    call->list_cb(page, call->arg);
}
