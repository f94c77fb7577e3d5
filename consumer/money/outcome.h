/*
 * What came of payments and refunds, and is to be recorded. `outcomes` are those that wait for it:
 * the first ones go into a transaction together; if the database refuses a text that the gateway
 * sent, they go one by one, and that one goes without its texts. Pure.
 */
#ifndef CONSUMER_MONEY_OUTCOME_H
#define CONSUMER_MONEY_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/pay.h"
#include "common/shop/ids.h"

#define OUTCOME_BATCH 512 /* of one transaction */

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
    X(GIVEN_BACK, "succeeded")                                                                     \
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

struct outcomes {          /* zeroed at first */
    struct outcome *items; /* the first `running` are in flight; strings are ours */
    size_t count;
    size_t capacity;
    size_t running;
    bool one_by_one; /* after a refusal, until one has passed */
};

const char *outcome_text(enum outcome_kind kind);
/* Whether it is one of checkout.settle_refunds. */
bool outcome_of_refund(enum outcome_kind kind);

/* Copies it. 0; or ERR_NOMEM, and it is not added. */
MUST_CHECK int outcomes_add(struct outcomes *outcomes, const struct outcome *outcome);
/* How many of the first ones to send now. */
size_t outcomes_begin(struct outcomes *outcomes);
/* Those sent are recorded. */
void outcomes_recorded(struct outcomes *outcomes);
/* They are not, and go again. */
void outcomes_again(struct outcomes *outcomes);
/* They were refused for a value among them. */
void outcomes_refused(struct outcomes *outcomes);
/* Forgets all; those in flight may still be answered. */
void outcomes_forget(struct outcomes *outcomes);
void outcomes_free(struct outcomes *outcomes);

#endif
