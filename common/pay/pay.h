/*
 * The payment gateway: charge, look at, cancel, list, refund. This is the seam: what every gateway
 * answers, in types. stripe/ speaks Stripe's PaymentIntents API; a test may put another one behind
 * the same operations.
 */
#ifndef COMMON_PAY_PAY_H
#define COMMON_PAY_PAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define PAY_ID_MAX 255
#define PAY_CODE_MAX 64
#define PAY_PARAM_MAX 64
#define PAY_ACTION_MAX 2560

struct pay_charge {
    const char *order_id;
    uint32_t shard;
    int64_t amount;       /* minor units */
    const char *currency; /* ISO 4217, any case */
    const char *payment_method;
    const char *idempotency_key;
    const char *receipt_email;    /* NULL: none */
    const char *gateway_customer; /* the gateway's id, whose method it is; NULL: none */
    /* What the gateway keeps with it, so that the order can be rebuilt from its list; the same at
     * each sending under one key. */
    const char *sku;         /* NULL or "": not said */
    int64_t quantity;        /* 0: not said */
    const char *reference;   /* likewise: none */
    const char *customer;    /* no name, but the same for all orders of a buyer; likewise */
    const char *traceparent; /* the trace that the call belongs to (W3C); NULL or "": none */
};

/* What is refunded: the payment `intent_id`, of which `amount` is all. */
struct pay_refund {
    const char *order_id;
    int64_t amount;
    const char *currency;
    const char *intent_id;
    const char *idempotency_key;
    const char *traceparent; /* as a charge's */
};

/* What an answer says. The first ones are about an intent of ours, which it names. */
#define PAY_OUTCOME_MAP(X)                                                                         \
    X(SUCCEEDED, "succeeded") /* the price was taken, all of it; or refunded */                    \
    X(DECLINED, "declined")   /* the intent has no payment method (any more) */                    \
    X(CANCELLED, "cancelled")                                                                      \
    X(ACTION, "action")             /* its buyer has to act: 3-D Secure and the like */            \
    X(PENDING, "pending")           /* neither this nor that yet; a refund is under way */         \
    X(OTHER_SUM, "other_sum")       /* another sum was taken or refunded than was asked for */     \
    X(REFUSED, "refused")           /* definite: this request is refused, and not executed */      \
    X(REFUSED_NOW, "refused_now")   /* a refund: refused, but not for good */                      \
    X(KEY_USED, "key_used")         /* the idempotency key was used with other parameters */       \
    X(UNAUTHORIZED, "unauthorized") /* our key is refused */                                       \
    X(FORBIDDEN, "forbidden")       /* our key may not do this */                                  \
    X(BUSY, "busy")                 /* too many requests; nothing was executed */                  \
    X(ERROR, "error")               /* an error of the gateway's own */                            \
    X(UNKNOWN, "unknown")           /* no answer, or nonsense: executed or not */                  \
    X(FAILED, "failed")             /* the refund has failed: the money stays where it is */       \
    X(ALREADY, "already")           /* nothing is left to refund */                                \
    X(NOT_FOUND, "not_found")       /* no refund of the payment is known */

#define PAY_OUTCOME_ENUM(id, text) PAY_##id,
enum pay_outcome { PAY_OUTCOME_MAP(PAY_OUTCOME_ENUM) PAY_OUTCOMES };

/* What a buyer can do about a payment that was refused; the words are those of schemas/. */
#define PAY_PROBLEM_MAP(X)                                                                         \
    X(NO_PROBLEM, NULL)                                                                            \
    X(USE_ANOTHER_METHOD, "use_another_method")                                                    \
    X(WRONG_AMOUNT, "amount")                                                                      \
    X(WRONG_CURRENCY, "currency")                                                                  \
    X(TRY_AGAIN, "try_again")

#define PAY_PROBLEM_ENUM(id, text) PAY_##id,
enum pay_problem { PAY_PROBLEM_MAP(PAY_PROBLEM_ENUM) PAY_PROBLEMS };

struct pay_answer {
    enum pay_outcome outcome;
    enum pay_problem problem;       /* of DECLINED, CANCELLED, REFUSED */
    char param[PAY_PARAM_MAX];      /* the field of the request that is refused; "": not said */
    char intent_id[PAY_ID_MAX + 1]; /* or the refund's; "" if not known */
    char code[PAY_CODE_MAX]; /* decline code, error code, "http_500", "timeout", …: for people, and
                                steers nothing */
    int64_t received;        /* of OTHER_SUM: what was taken */
    unsigned http_status;    /* 0: no answer came */
    bool of_the_api;         /* an error that the API itself has written, not something before it */
    bool replayed;           /* the result that the gateway has stored for this key */
    bool sent;               /* false: it surely did not reach the gateway */
    uint32_t retry_after_s;  /* 0: not said */
    int64_t date_s;          /* the gateway's clock; 0: not said */
    /* of ACTION: what the buyer is to do, as a JSON object with the members "type" and "url" or
     * "client_secret"; "": the gateway does not say it. For the buyer alone, no log. */
    char action[PAY_ACTION_MAX];
};

enum pay_intent_state {
    PAY_INTENT_SUCCEEDED,
    PAY_INTENT_CANCELLED,
    PAY_INTENT_DECLINED, /* it has no payment method (any more) */
    PAY_INTENT_ACTION,
    PAY_INTENT_PROCESSING, /* the bank decides */
    PAY_INTENT_OPEN,       /* it waits for us (requires_capture, …), or is unknown to us */
};

/* One intent of the gateway's list. Strings are valid during the callback. */
struct pay_intent {
    const char *id;
    const char *order_id; /* that we gave it; NULL: none */
    enum pay_intent_state state;
    int64_t amount;   /* that it was made for */
    int64_t received; /* that was taken; of SUCCEEDED */
    const char *currency;
    int64_t created_s; /* by the gateway's clock */
    /* What its charge said of the order; NULL and 0: nothing. */
    const char *sku;
    int64_t quantity;
    const char *reference;
    const char *customer;
};

struct pay_page {
    int code;           /* 0, or the ERR_* that ended the listing */
    const char *reason; /* why, in a word, if code is not 0: "timeout", "http_401", ... */
    const struct pay_intent *intents;
    size_t count;
    bool has_more;  /* page on with the last id */
    int64_t date_s; /* the gateway's clock; 0: not said */
};

/* Money on its way back, or in dispute, whoever made it so. */
enum pay_return_kind { PAY_RETURN_REFUND, PAY_RETURN_DISPUTE };

/* Strings are valid during the callback. */
struct pay_return {
    const char *id;
    const char *intent_id; /* of the payment; NULL: it was none by an intent */
    int64_t amount;
    const char *currency;
    const char *status;   /* the gateway's words: letters, digits and '_' */
    const char *reason;   /* likewise; NULL: none */
    const char *order_id; /* that we gave it; NULL: it is not ours */
    int64_t created_s;    /* by the gateway's clock */
};

struct pay_returns {
    int code; /* 0, or the ERR_* that ended the listing */
    const struct pay_return *items;
    size_t count;
    bool has_more;
    int64_t date_s;
};

typedef void (*pay_answer_cb)(const struct pay_answer *answer, void *arg);
typedef void (*pay_list_cb)(const struct pay_page *page, void *arg);
typedef void (*pay_returns_cb)(const struct pay_returns *page, void *arg);

struct pay;

/* Each call: 0, and its callback comes exactly once, from the loop; or ERR_FULL (too many calls are
 * in flight), ERR_INVALID (such a request cannot be made), ERR_NOMEM. Strings are copied. */
struct pay_ops {
    int (*charge)(struct pay *pay, const struct pay_charge *charge, pay_answer_cb cb, void *arg);
    int (*get)(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
               pay_answer_cb cb, void *arg);
    int (*cancel)(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
                  pay_answer_cb cb, void *arg);
    int (*refund)(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb, void *arg);
    int (*find_refund)(struct pay *pay, const struct pay_refund *refund, pay_answer_cb cb,
                       void *arg);
    int (*list)(struct pay *pay, int64_t created_from_s, const char *starting_after, unsigned limit,
                pay_list_cb cb, void *arg);
    int (*returns)(struct pay *pay, enum pay_return_kind kind, const char *intent_id,
                   const char *starting_after, pay_returns_cb cb, void *arg);
    size_t (*inflight)(const struct pay *pay);
    void (*free)(struct pay *pay);
};

/* The first member of every gateway. */
struct pay {
    const struct pay_ops *ops;
};

/* Creates and confirms a payment intent under `idempotency_key`. */
MUST_CHECK static inline int pay_charge(struct pay *pay, const struct pay_charge *charge,
                                        pay_answer_cb cb, void *arg)
{
    return pay->ops->charge(pay, charge, cb, arg);
}

/* What has become of the intent of a charge. DECLINED: it cannot succeed as it is, but somebody may
 * still change that. */
MUST_CHECK static inline int pay_get(struct pay *pay, const struct pay_charge *charge,
                                     const char *intent_id, pay_answer_cb cb, void *arg)
{
    return pay->ops->get(pay, charge, intent_id, cb, arg);
}

/* Cancels the intent of a charge if it has not succeeded, and tells its state. */
MUST_CHECK static inline int pay_cancel(struct pay *pay, const struct pay_charge *charge,
                                        const char *intent_id, pay_answer_cb cb, void *arg)
{
    return pay->ops->cancel(pay, charge, intent_id, cb, arg);
}

/* Refunds a payment under `idempotency_key`. */
MUST_CHECK static inline int pay_refund(struct pay *pay, const struct pay_refund *refund,
                                        pay_answer_cb cb, void *arg)
{
    return pay->ops->refund(pay, refund, cb, arg);
}

/* What the gateway knows of refunds of the payment. SUCCEEDED: all of it was refunded; NOT_FOUND:
 * nothing was tried; FAILED: nothing is under way, and nothing was refunded; OTHER_SUM: less was;
 * PENDING: under way. */
MUST_CHECK static inline int pay_find_refund(struct pay *pay, const struct pay_refund *refund,
                                             pay_answer_cb cb, void *arg)
{
    return pay->ops->find_refund(pay, refund, cb, arg);
}

/* Newest first; `created_from_s` 0: all; `starting_after`: NULL or the last id of the page before.
 */
MUST_CHECK static inline int pay_list(struct pay *pay, int64_t created_from_s,
                                      const char *starting_after, unsigned limit, pay_list_cb cb,
                                      void *arg)
{
    return pay->ops->list(pay, created_from_s, starting_after, limit, cb, arg);
}

/* Newest first, a page; of the payment `intent_id`, NULL: of all. */
MUST_CHECK static inline int pay_returns(struct pay *pay, enum pay_return_kind kind,
                                         const char *intent_id, const char *starting_after,
                                         pay_returns_cb cb, void *arg)
{
    return pay->ops->returns(pay, kind, intent_id, starting_after, cb, arg);
}

static inline size_t pay_inflight(const struct pay *pay)
{
    return pay->ops->inflight(pay);
}

/* Cancels what is in flight without callbacks. NULL is allowed. */
static inline void pay_free(struct pay *pay)
{
    if (pay != NULL)
        pay->ops->free(pay);
}

/* Static. */
const char *pay_outcome_text(enum pay_outcome outcome);
/* As in schemas/; NULL: none. */
const char *pay_problem_text(enum pay_problem problem);

#endif
