/* A gateway that speaks Stripe's PaymentIntents API, at any base URL. */
#ifndef COMMON_PAY_STRIPE_STRIPE_H
#define COMMON_PAY_STRIPE_STRIPE_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/pay/pay.h"

struct stripe_options {
    const char *base_url;
    const char *secret_key;  /* copied */
    const char *api_version; /* Stripe-Version; "": not said */
    const char *methods; /* payment methods that are accepted, comma-separated; "automatic": what
                            the gateway's account says; NULL: no charge is made */
    const char
        *return_url;     /* where a bank's page sends the buyer back to; "", NULL: no redirects */
    const char *ca_file; /* "": the system's */
    unsigned inflight_max;
    uint32_t timeout_ms; /* for one answer */
};

/* NULL: no memory. */
struct pay *stripe_new(struct loop *loop, const struct stripe_options *options);

#endif
