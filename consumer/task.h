/*
 * What PostgreSQL asks the owner of a shard to do (checkout.task). Each task has a row in a table,
 * so the sweep and the next owner find a forgotten one again.
 */
#ifndef CONSUMER_TASK_H
#define CONSUMER_TASK_H

#include <stdint.h>

enum task_kind {
    TASK_CHARGE,      /* charge the order: an open row of payments */
    TASK_REFUND,      /* refund a payment: an open row of refunds */
    TASK_RECONCILE,   /* look up whether a payment took money after all: payments.look_at is due */
    TASK_AWAIT_BUYER, /* the buyer must act at the bank, until payments.action_until */
    TASK_CHECK,       /* the order's payment may have changed: look it up now */
    TASK_LOOK_AT_RETURNS, /* look up what went back of a payment: a row of return_looks */
    TASK_SETTLE_WAITLIST, /* the waitlist of `sku` has more to settle */
    TASK_RUN_COMMANDS,    /* there may be more commands */
    TASK_DECIDE_ASIDE     /* jobs of `sku` are set aside, and it is their turn */
};

/* The decision on an unclear charge: an operator's, or its buyer's at the bank. */
enum task_resolution {
    TASK_UNRESOLVED,
    TASK_CAPTURED,
    TASK_NOT_CAPTURED,
    TASK_RELEASE, /* end it although it stays unclear */
    TASK_BUYER_CANCELS,
};

#define TASK_NO_TIME (-1)

/* Strings are valid during the callback. A comment names the tasks that have the member; else it is
 * NULL or 0. */
struct task {
    enum task_kind kind;
    uint32_t shard;       /* all */
    const char *order_id; /* all but SETTLE_WAITLIST, RUN_COMMANDS, DECIDE_ASIDE */
    const char *sku;      /* CHARGE, REFUND, RECONCILE, SETTLE_WAITLIST, DECIDE_ASIDE */
    int64_t attempt;      /* CHARGE, REFUND, RECONCILE, AWAIT_BUYER, LOOK_AT_RETURNS */
    int64_t amount;       /* CHARGE, REFUND, RECONCILE: in minor units of … */
    const char *currency;
    const char *payment_method;   /* CHARGE */
    const char *receipt_email;    /* CHARGE; NULL: none */
    const char *customer;         /* CHARGE: whose order it is, without the name */
    int64_t quantity;             /* CHARGE */
    const char *reference;        /* CHARGE: the shop's own; "": none */
    const char *gateway_customer; /* CHARGE: whose saved payment method it is, at the gateway; NULL:
                                     no customer's */
    const char *intent_id; /* CHARGE, REFUND, LOOK_AT_RETURNS: the gateway's id of the payment;
                              NULL: not known */
    const char *key;       /* REFUND: its idempotency key; LOOK_AT_RETURNS: its hints */
    int64_t age_ms;        /* CHARGE, REFUND, RECONCILE: since its intent (or key) became durable */
    int64_t order_age_ms;  /* CHARGE, RECONCILE: of the order's first attempt; or TASK_NO_TIME: its
                              own */
    int64_t left_ms; /* AWAIT_BUYER, CHARGE: how long the buyer may still act; or TASK_NO_TIME: as
                        long as is set */
    enum task_resolution resolution; /* CHARGE */
    const char *traceparent;         /* CHARGE, REFUND: the order's trace; "": none */
};

#endif
