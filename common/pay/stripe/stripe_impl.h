/* The inside of stripe.c, stripe_refund.c, stripe_returns.c and stripe_call.c: one pool of calls,
 * one way to send them. */
#ifndef COMMON_PAY_STRIPE_STRIPE_IMPL_H
#define COMMON_PAY_STRIPE_STRIPE_IMPL_H

#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/net/http/curl.h"
#include "common/pay/pay.h"

#define PAY_ORDER_ID_MAX 63
#define PAY_CURRENCY_MAX 7

struct stripe_call;
SLIST_HEAD(stripe_call_list, stripe_call);

/* One call in flight: what its answer is held against. */
struct stripe_call {
    struct stripe *stripe;
    SLIST_ENTRY(stripe_call) link; /* while idle */
    pay_answer_cb cb;              /* of a charge or a cancel */
    pay_list_cb list_cb;
    pay_returns_cb returns_cb;
    enum pay_return_kind kind; /* of what is listed */
    void *arg;
    char order_id[PAY_ORDER_ID_MAX + 1];
    char currency[PAY_CURRENCY_MAX + 1];
    int64_t amount;
    char intent_id[PAY_ID_MAX + 1]; /* to be cancelled */
    unsigned limit;                 /* of a listing */
};

struct stripe {
    struct pay pay; /* first */
    struct curl_client *client;
    uint32_t timeout_ms;
    struct stripe_call *calls; /* inflight_max of them */
    struct stripe_call_list idle;
    size_t inflight;
    char *intents_url;  /* …/v1/payment_intents */
    char *methods;      /* "": automatic */
    char *return_url;   /* "": none */
    char *refunds_url;  /* …/v1/refunds */
    char *disputes_url; /* …/v1/disputes */
    struct buf authorization;
    struct buf version; /* header line; empty: none */
    struct buf key;     /* header line of the call that is being made, as are the next three */
    struct buf trace;
    struct buf form;
    struct buf url;
};

/* NULL: inflight_max is reached. */
struct stripe_call *stripe_take_call(struct stripe *stripe, void *arg);
/* Sends `form` (NULL: a GET) to `url`, with the key in stripe->key if there is one. On an error the
 * call is returned. */
MUST_CHECK int stripe_send(struct stripe_call *call, const char *url, const struct buf *form,
                           curl_done_cb done);
/* The call that is sent next belongs to this trace; NULL or "": to none. */
void stripe_trace(struct stripe *stripe, const char *traceparent);
/* Before the body is read: what every answer has, and all that there is if no answer came. */
void stripe_read_transport(const struct curl_response *response, struct pay_answer *ret_answer);
/* The call is idle again. */
void stripe_give_back(struct stripe_call *call);
/* The call is idle again before its callback, which may free everything. */
void stripe_finish(struct stripe_call *call, const struct pay_answer *answer);
/* The operations of pay.h that stripe_refund.c has. */
int stripe_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb, void *arg);
int stripe_find_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb,
                       void *arg);
/* The operation of pay.h that stripe_returns.c has. */
int stripe_returns(struct pay *pay, enum pay_return_kind kind, const char *intent_id,
                   const char *starting_after, pay_returns_cb cb, void *arg);
/* A header's value: visible ASCII only. */
bool stripe_key_valid(const char *key);

#endif
