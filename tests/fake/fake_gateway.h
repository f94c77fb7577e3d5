/*
 * A gateway that a test plays, call by call: another implementation of common/pay/pay.h. Calls wait
 * until the test answers them, in any order.
 */
#ifndef TESTS_FAKE_GATEWAY_H
#define TESTS_FAKE_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/pay/pay.h"

#define FAKE_GATEWAY_CALLS 4096

struct fake_call {
    char verb[16]; /* "charge", "get", "cancel", "refund", "find", "list",
                        "refunds", "disputes" */
    char order_id[64];
    char key[128]; /* idempotency key, or the id of an intent */
    char traceparent[64];
    int64_t from_s;
    bool answered;
    pay_answer_cb cb;
    pay_list_cb list_cb;
    pay_returns_cb returns_cb;
    void *arg;
};

struct fake_gateway {
    struct pay pay; /* first: what the code under test gets */
    struct fake_call calls[FAKE_GATEWAY_CALLS];
    size_t count; /* ever made */
    size_t inflight;
    size_t inflight_max;
    int refuse; /* the next call returns this; 0: it is taken */
};

extern struct fake_gateway fake_gateway;

/* Without calls. */
void fake_gateway_reset(void);
/* The newest call that is not answered; NULL: none. */
struct fake_call *fake_gateway_open(void);
/* How many calls of this verb were made. */
size_t fake_gateway_made(const char *verb);
/* Answers a call. `answer` may be incomplete: what is zero stays so. */
void fake_gateway_answer(struct fake_call *call, const struct pay_answer *answer);
void fake_gateway_page(struct fake_call *call, const struct pay_page *page);

#endif
