#include "consumer/gateway/traced_pay.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

/* A call whose span is under way. */
struct traced_call {
    TAILQ_ENTRY(traced_call) link;
    struct traced_pay *traced;
    const char *name;
    struct span_mark span;
    pay_answer_cb cb;
    void *arg;
    char order_id[IDS_ORDER_SIZE];
    char traceparent[TRACE_SIZE];
};

struct traced_pay {
    struct pay pay; /* first: it is one */
    struct pay *inner;
    struct spans *spans;
    TAILQ_HEAD(, traced_call) calls;
};

/* NULL: it has no span, or there is no memory for one. */
static struct traced_call *begin(struct traced_pay *traced, const char *name, const char *order_id,
                                 const char *traceparent, pay_answer_cb cb, void *arg)
{
    struct span_mark mark;
    if (traceparent == NULL || traceparent[0] == '\0' ||
        !spans_begin(traced->spans, order_id, traceparent, &mark))
        return NULL;
    struct traced_call *call = malloc(sizeof *call);
    if (call == NULL)
        return NULL;
    *call =
        (struct traced_call){.traced = traced, .name = name, .span = mark, .cb = cb, .arg = arg};
    (void)snprintf(call->order_id, sizeof call->order_id, "%s", order_id);
    span_mark_traceparent(&mark, call->traceparent);
    TAILQ_INSERT_TAIL(&traced->calls, call, link);
    return call;
}

static void forget(struct traced_call *call)
{
    TAILQ_REMOVE(&call->traced->calls, call, link);
    free(call);
}

static bool is_error(enum pay_outcome outcome)
{
    return outcome == PAY_UNAUTHORIZED || outcome == PAY_FORBIDDEN || outcome == PAY_BUSY ||
           outcome == PAY_ERROR || outcome == PAY_UNKNOWN;
}

static void answered(const struct pay_answer *answer, void *arg)
{
    struct traced_call *call = arg;
    pay_answer_cb cb = call->cb;
    void *cb_arg = call->arg;
    struct span *span =
        spans_end(call->traced->spans, &call->span, call->name, SPAN_CLIENT, call->order_id);
    span_text(span, "checkout.payment.outcome", pay_outcome_text(answer->outcome));
    if (answer->http_status > 0)
        span_number(span, "http.response.status_code", answer->http_status);
    else
        span_text(span, "error.type", answer->code);
    span_fail(span, is_error(answer->outcome));
    forget(call);
    cb(answer, cb_arg);
}

/* A call that was not made has no span. */
static int made(struct traced_call *call, int code)
{
    if (code < 0)
        forget(call);
    return code;
}

typedef int (*intent_ask)(struct pay *pay, const struct pay_charge *asked, const char *intent_id,
                          pay_answer_cb cb, void *arg);
typedef int (*refund_ask)(struct pay *pay, const struct pay_refund *asked, pay_answer_cb cb,
                          void *arg);

static int trace_intent(struct pay *pay, const char *name, intent_ask ask,
                        const struct pay_charge *asked, const char *intent_id, pay_answer_cb cb,
                        void *arg)
{
    struct traced_pay *traced = (struct traced_pay *)pay;
    struct traced_call *call = begin(traced, name, asked->order_id, asked->traceparent, cb, arg);
    if (call == NULL)
        return ask(traced->inner, asked, intent_id, cb, arg);
    struct pay_charge below = *asked;
    below.traceparent = call->traceparent;
    return made(call, ask(traced->inner, &below, intent_id, answered, call));
}

static int trace_refund(struct pay *pay, const char *name, refund_ask ask,
                        const struct pay_refund *asked, pay_answer_cb cb, void *arg)
{
    struct traced_pay *traced = (struct traced_pay *)pay;
    struct traced_call *call = begin(traced, name, asked->order_id, asked->traceparent, cb, arg);
    if (call == NULL)
        return ask(traced->inner, asked, cb, arg);
    struct pay_refund below = *asked;
    below.traceparent = call->traceparent;
    return made(call, ask(traced->inner, &below, answered, call));
}

/* A charge makes its intent: there is no id yet. */
static int ask_charge(struct pay *inner, const struct pay_charge *asked, const char *none,
                      pay_answer_cb cb, void *arg)
{
    (void)none;
    return pay_charge(inner, asked, cb, arg);
}

static int charge(struct pay *pay, const struct pay_charge *asked, pay_answer_cb cb, void *arg)
{
    return trace_intent(pay, "charge payment", ask_charge, asked, NULL, cb, arg);
}

static int get(struct pay *pay, const struct pay_charge *asked, const char *intent_id,
               pay_answer_cb cb, void *arg)
{
    return trace_intent(pay, "look at payment", pay_get, asked, intent_id, cb, arg);
}

static int cancel(struct pay *pay, const struct pay_charge *asked, const char *intent_id,
                  pay_answer_cb cb, void *arg)
{
    return trace_intent(pay, "cancel payment", pay_cancel, asked, intent_id, cb, arg);
}

static int refund(struct pay *pay, const struct pay_refund *asked, pay_answer_cb cb, void *arg)
{
    return trace_refund(pay, "refund payment", pay_refund, asked, cb, arg);
}

static int find_refund(struct pay *pay, const struct pay_refund *asked, pay_answer_cb cb, void *arg)
{
    return trace_refund(pay, "look for refund", pay_find_refund, asked, cb, arg);
}

/* Lists are about many orders. */
static int list(struct pay *pay, int64_t created_from_s, const char *starting_after, unsigned limit,
                pay_list_cb cb, void *arg)
{
    const struct traced_pay *traced = (const struct traced_pay *)pay;
    return pay_list(traced->inner, created_from_s, starting_after, limit, cb, arg);
}

static int returns(struct pay *pay, enum pay_return_kind kind, const char *intent_id,
                   const char *starting_after, pay_returns_cb cb, void *arg)
{
    const struct traced_pay *traced = (const struct traced_pay *)pay;
    return pay_returns(traced->inner, kind, intent_id, starting_after, cb, arg);
}

static size_t inflight(const struct pay *pay)
{
    return pay_inflight(((const struct traced_pay *)pay)->inner);
}

static void traced_pay_free(struct pay *pay)
{
    struct traced_pay *traced = (struct traced_pay *)pay;
    struct traced_call *call;
    pay_free(traced->inner);
    while ((call = TAILQ_FIRST(&traced->calls)) != NULL) {
        TAILQ_REMOVE(&traced->calls, call, link);
        free(call);
    }
    free(traced);
}

static const struct pay_ops ops = {.charge = charge,
                                   .get = get,
                                   .cancel = cancel,
                                   .refund = refund,
                                   .find_refund = find_refund,
                                   .list = list,
                                   .returns = returns,
                                   .inflight = inflight,
                                   .free = traced_pay_free};

struct pay *traced_pay_new(struct pay *pay, struct spans *spans)
{
    if (pay == NULL || spans == NULL)
        return pay;
    struct traced_pay *traced = calloc(1, sizeof *traced);
    if (traced == NULL) {
        pay_free(pay);
        return NULL;
    }
    traced->pay.ops = &ops;
    traced->inner = pay;
    traced->spans = spans;
    TAILQ_INIT(&traced->calls);
    return &traced->pay;
}
