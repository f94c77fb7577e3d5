/*
 * The counter's SQL: each call is one statement, so one transaction, of schemas/sql. Here
 * parameters are put together and answers are read; when to call is the lane's business.
 */
#ifndef CONSUMER_SHARD_ORDERS_DB_H
#define CONSUMER_SHARD_ORDERS_DB_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "common/shop/job.h"

/* Whose transaction it is: the fence of every writing call. */
struct counter_place {
    struct db *session;
    uint32_t shards;
    uint32_t shard;
    int64_t epoch;
};

/* How a call ended. */
enum counter_status {
    COUNTER_DONE,    /* committed */
    COUNTER_FENCED,  /* refused: the epoch is over */
    COUNTER_REFUSED, /* refused: PostgreSQL does not take some value; nothing was written */
    COUNTER_RETRY, /* refused for now (deadlock, timeout, shutting down, …); nothing was written */
    COUNTER_LOST,  /* the session went first: unknown */
};

enum counter_effect_kind {
    COUNTER_PAY,    /* charge the order; `age_ms`: how long ago its intent became durable */
    COUNTER_REFUND, /* give a payment back: payment_method is the intent's id, reason the key */
    COUNTER_LATE, /* the gateway took `amount` by the intent `reason`, and the order is `detail` */
    COUNTER_LOOK, /* look whether the payment took money after all; `age_ms` as for COUNTER_PAY */
    COUNTER_ACTION,   /* its buyer has been asked to act, and has `age_ms` left */
    COUNTER_HINT,     /* something may have happened to its payment: look */
    COUNTER_MORE,     /* the line of `sku` has more to settle */
    COUNTER_CONFLICT, /* a retry of `order_id` came with another body */
    COUNTER_TALLY,    /* `amount` orders became `detail` (`reason`) */
    COUNTER_COMMAND,  /* command `amount` is `detail` ("done", "refused"): `reason` */
    COUNTER_COMMANDS, /* there may be more commands to execute */
};

/* Strings are valid during the callback; NULL: absent. */
struct counter_effect {
    enum counter_effect_kind kind;
    const char *order_id;
    int64_t attempt;
    int64_t amount;
    const char *currency;
    const char *payment_method;
    const char *receipt_email;
    const char *sku;
    const char *detail;
    const char *reason;
    int64_t age_ms;
};

/* The end of a payment, or of a refund. */
struct counter_settlement {
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    const char *state;  /* of checkout.settle, or of checkout.settle_refunds; static */
    const char *intent; /* the gateway's id, of the refund if it is one; NULL: none */
    int64_t amount;     /* of a late success */
    const char *code;   /* the gateway's code; NULL: none */
};

/* All of these: 0, ERR_UNAVAILABLE or ERR_FULL as db_query, ERR_NOMEM; `cb` comes only after 0. */
MUST_CHECK int counter_decide(const struct counter_place *place, int64_t wait_ms,
                              struct job_entry *const *jobs, size_t count, db_result_cb cb,
                              void *arg);
MUST_CHECK int counter_settle(const struct counter_place *place,
                              const struct counter_settlement *settlements, size_t count,
                              db_result_cb cb, void *arg);
MUST_CHECK int counter_settle_refunds(const struct counter_place *place,
                                      const struct counter_settlement *settlements, size_t count,
                                      db_result_cb cb, void *arg);
MUST_CHECK int counter_settle_line(const struct counter_place *place, const char *sku,
                                   unsigned limit, db_result_cb cb, void *arg);
MUST_CHECK int counter_expire(const struct counter_place *place, unsigned limit, db_result_cb cb,
                              void *arg);
/* `why`: payments are stopped, and with them the shard's clock; NULL: both go on. */
MUST_CHECK int counter_stop_payments(const struct counter_place *place, const char *why,
                                     db_result_cb cb, void *arg);
MUST_CHECK int counter_execute_commands(const struct counter_place *place, unsigned limit,
                                        db_result_cb cb, void *arg);
/* Gives cancels that missed their order its shard, beginning behind command `after`. Answer: where
 * to go on next time. */
MUST_CHECK int counter_place_cancels(struct db *session, int64_t after, unsigned limit,
                                     db_result_cb cb, void *arg);
/* If `seen` is not the shard's epoch any more, only a shard whose owner is `member` is taken.
 * Answer: one row (epoch, relayed_to), the epoch null if it was not taken; no row if N is not in
 * service. */
#define COUNTER_ANY_EPOCH (-1)
#define COUNTER_IF_OURS (-2) /* no shard is at this epoch */
MUST_CHECK int counter_take_over(struct db *session, uint32_t shards, uint32_t shard,
                                 int64_t member, int64_t seen, db_result_cb cb, void *arg);
MUST_CHECK int counter_release(const struct counter_place *place, db_result_cb cb, void *arg);
/* Payments to resume, as effects. */
MUST_CHECK int counter_open_payments(struct db *session, const uint32_t *shard_list, size_t count,
                                     int64_t age_ms, unsigned limit, db_result_cb cb, void *arg);
/* Refunds to resume and late looks that are due, as effects. */
MUST_CHECK int counter_open_refunds(struct db *session, const uint32_t *shard_list, size_t count,
                                    int64_t age_ms, unsigned limit, db_result_cb cb, void *arg);
/* Rows (shard, kind, sku). */
MUST_CHECK int counter_overdue(struct db *session, uint32_t shards, const uint32_t *shard_list,
                               size_t count, db_result_cb cb, void *arg);

enum counter_status counter_status(const struct db_result *result);

typedef void (*counter_effect_cb)(const struct counter_effect *effect, void *arg);
/* Calls `cb` for each effect of a committed call. */
void counter_each_effect(const struct db_result *result, counter_effect_cb cb, void *arg);

#endif
