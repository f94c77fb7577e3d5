/* Reading the answers of Stripe's API. They are hostile input: anything that is not just what it
 * should be is "unknown", never a success. Pure. */
#ifndef CHECKOUT_PAY_STRIPE_ANSWER_H
#define CHECKOUT_PAY_STRIPE_ANSWER_H

#include <stddef.h>

#include "common/attrs.h"
#include "common/pay.h"

/* What a payment intent must say to count as this order's. */
struct pay_expected {
    const char *order_id;
    int64_t amount;
    const char *currency;
};

/* The answer to creating (and confirming) a payment intent. */
void pay_stripe_read_charge(unsigned status, const char *body, size_t len,
                            const struct pay_expected *expected, struct pay_answer *ret_answer);
/* The answer to cancelling one: PAY_DECLINED: it is cancelled; PAY_SUCCEEDED: it had succeeded. */
void pay_stripe_read_cancel(unsigned status, const char *body, size_t len,
                            const struct pay_expected *expected, struct pay_answer *ret_answer);
/* A page of the list: calls `cb` once. 0, or the ERR_* that `cb` was given. */
int pay_stripe_read_list(unsigned status, const char *body, size_t len, pay_list_cb cb, void *arg);

#endif
