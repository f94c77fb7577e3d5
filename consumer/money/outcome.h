/* What came of a payment or a refund, and is to be recorded. Pure. */
#ifndef CONSUMER_MONEY_OUTCOME_H
#define CONSUMER_MONEY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/pay/pay.h"
#include "common/shop/ids.h"

/* Of a charge: checkout.settle has the same words. */
#define OUTCOME_MAP(X)                                                                             \
    X(CAPTURED, "captured")                                                                        \
    X(DECLINED, "declined")                                                                        \
    X(FAILED, "failed")                                                                            \
    X(CANCELLED, "cancelled")   /* as its buyer wished, at the bank */                             \
    X(OTHER_SUM, "other_sum")   /* failed; `amount` was taken, and goes back */                    \
    X(SUPERSEDED, "superseded") /* this attempt took no money; the next one may be made */         \
    X(UNCLEAR, "unclear")       /* it goes on, and this is to be recorded */                       \
    X(ACTION, "action")         /* its buyer is to act, for `wait_ms` */                           \
    /* of a refund, and of late looks: checkout.settle_refunds */                                  \
    X(REFUNDED, "succeeded")                                                                       \
    X(REFUND_FAILED, "failed")                                                                     \
    X(REFUND_AGAIN, "again")                                                                       \
    X(REFUND_LATER, "later")                                                                       \
    X(REFUND_UNCLEAR, "unclear")                                                                   \
    X(RETURNS, "returns") /* `returns` is what went back; `code`: the hints it answers */          \
    X(LATE, "late")       /* `amount` was taken by `intent_id` */                                  \
    X(LOOKED, "looked")   /* the whole list was read */

#define OUTCOME_ENUM(id, text) OUTCOME_##id,
enum outcome_kind { OUTCOME_MAP(OUTCOME_ENUM) OUTCOME_KINDS };

/* Strings are the caller's, valid during the call; NULL: none. */
struct outcome {
    enum outcome_kind kind;
    uint32_t shard;
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    const char *intent_id; /* or the refund's */
    int64_t amount;
    const char *code; /* for people */
    enum pay_problem problem;
    const char *param;   /* of the request that is refused */
    const char *action;  /* JSON */
    const char *returns; /* JSON: see checkout.record_returns */
    uint32_t wait_ms;
};

typedef void (*outcome_cb)(const struct outcome *outcome, void *arg);

const char *outcome_text(enum outcome_kind kind);
/* Whether it is one of checkout.settle_refunds. */
bool outcome_of_refund(enum outcome_kind kind);

#endif
