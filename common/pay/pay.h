/* The payment gateway: charge, look up, cancel, list, refund. pay_stripe.c speaks Stripe's
 * PaymentIntents API. */
#ifndef COMMON_PAY_PAY_H
#define COMMON_PAY_PAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

#define PAY_ID_MAX 255
#define PAY_CODE_MAX 64
#define PAY_ACTION_MAX 2560

struct pay;
struct pay_call;

struct pay_options {
    const char *base_url;
    const char *secret_key;  /* copied */
    const char *api_version; /* Stripe-Version; "": not said */
    const char *return_url;  /* where a bank's page sends the buyer back to; "": no redirects */
    const char *ca_file;     /* "": the system's */
    unsigned inflight_max;
    uint32_t timeout_ms; /* for one answer */
};

struct pay_charge {
    const char *order_id;
    uint32_t shard;
    int64_t amount;       /* minor units */
    const char *currency; /* ISO 4217, any case */
    const char *payment_method;
    const char *idempotency_key;
    const char *receipt_email; /* NULL: none */
};

enum pay_outcome {
    PAY_SUCCEEDED,
    PAY_DECLINED,        /* final: 402 with error.type=card_error */
    PAY_BAD_INPUT,       /* final: a 400 about this order's own input (param=payment_method or
                            receipt_email, code=amount_too_large) */
    PAY_REQUIRES_ACTION, /* 3-D Secure and the like */
    PAY_UNKNOWN, /* timeout, reset, 5xx, 429, 409, nonsense, other amount: ask again, same key */
    PAY_MISCONFIGURED, /* 401, 403, a 400 that is not about the order: the operator's fault */
};

struct pay_answer {
    enum pay_outcome outcome;
    char intent_id[PAY_ID_MAX + 1]; /* "" if not known */
    char code[PAY_CODE_MAX]; /* decline code, error code, "http_500", "timeout", …; for people */
    unsigned http_status;    /* 0: no answer came */
    bool of_the_api;         /* an error that the API itself has written, not something before it */
    bool replayed;           /* the result that the gateway has stored for this key */
    bool sent;               /* false: it surely did not reach the gateway */
    uint32_t retry_after_s;  /* 0: not said */
    /* of PAY_REQUIRES_ACTION: what the buyer is to do, as a JSON object with the members "type" and
     * "url" or "client_secret"; "": the gateway does not say it. For the buyer alone, no log. */
    char action[PAY_ACTION_MAX];
};

typedef void (*pay_answer_cb)(const struct pay_answer *answer, void *arg);

struct pay *pay_new(struct loop *loop, const struct pay_options *options);
/* Cancels what is in flight without callbacks. NULL is allowed. */
void pay_free(struct pay *pay);
const char *pay_outcome_text(enum pay_outcome outcome);

/*
 * Creates and confirms a payment intent under `idempotency_key`. The callback comes exactly once,
 * from the loop. ERR_FULL: inflight_max is reached, call again later. Strings are copied.
 */
MUST_CHECK int pay_charge(struct pay *pay, const struct pay_charge *charge, pay_answer_cb cb,
                          void *arg);
size_t pay_inflight(const struct pay *pay);

/* One intent of the gateway's list. Strings are valid during the callback. */
struct pay_intent {
    const char *id;
    const char *order_id; /* metadata[order_id]; NULL: none */
    const char *status;   /* "succeeded", "requires_payment_method", "canceled", … */
    int64_t amount;
    const char *currency;
    int64_t created_s;
};
/* `code`: 0 or the ERR_* that ended the listing; `has_more`: page on with the last id. */
typedef void (*pay_list_cb)(int code, const struct pay_intent *intents, size_t count, bool has_more,
                            void *arg);
/* Newest first; `created_from_s` 0: all; `starting_after`: NULL or the last id of the page before.
 */
MUST_CHECK int pay_list(struct pay *pay, int64_t created_from_s, const char *starting_after,
                        unsigned limit, pay_list_cb cb, void *arg);
/* Cancels the intent of a charge if it has not succeeded. PAY_SUCCEEDED here: it had succeeded
 * before; PAY_DECLINED: it is cancelled now (or was). */
MUST_CHECK int pay_cancel(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
                          pay_answer_cb cb, void *arg);

/* What has become of the intent of a charge. PAY_DECLINED: it cannot succeed as it is, but for code
 * "canceled" somebody may still change that. */
MUST_CHECK int pay_get(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
                       pay_answer_cb cb, void *arg);

/* What is given back: the payment `intent_id`, of which `amount` is all. */
struct pay_refund {
    const char *order_id;
    int64_t amount;
    const char *currency;
    const char *intent_id;
    const char *idempotency_key;
};

/*
 * Gives a payment back under `idempotency_key`; as pay_charge. The answer's intent_id is the id of
 * the refund. PAY_SUCCEEDED; PAY_DECLINED: it failed, the money stays where it is; PAY_BAD_INPUT:
 * refused for good, and for a reason of this payment's own; PAY_UNKNOWN also with the codes
 * "pending" (it is under way) and "charge_already_refunded": ask pay_find_refund.
 */
MUST_CHECK int pay_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb,
                          void *arg);
/* What the gateway knows of refunds of the payment. PAY_SUCCEEDED: all of it was given back;
 * PAY_DECLINED: nothing is under way, and not all was given back ("not_found": nothing was tried,
 * "failed"); PAY_UNKNOWN: else ("pending": under way, "partly_refunded": less was given back). */
MUST_CHECK int pay_find_refund(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb,
                               void *arg);

#endif
