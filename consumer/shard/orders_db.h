/*
 * The counter's SQL: each call is one statement, so one transaction, of schemas/sql. Here
 * parameters are put together and answers are read; when to call is the writer's business.
 */
#ifndef CONSUMER_SHARD_ORDERS_DB_H
#define CONSUMER_SHARD_ORDERS_DB_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "common/shop/job.h"

/* Whose transaction it is: the fence of every writing call. */
struct orders_db_place {
    struct pg *session;
    uint32_t shards;
    uint32_t shard;
    int64_t epoch;
};

/* How a call ended. */
enum orders_db_status {
    ORDERS_DB_DONE,    /* committed */
    ORDERS_DB_FENCED,  /* refused: the epoch is over */
    ORDERS_DB_REFUSED, /* refused: PostgreSQL does not take some value; nothing was written */
    ORDERS_DB_RETRY, /* refused for now (deadlock, timeout, shutting down, …); nothing was written
                      */
    ORDERS_DB_LOST,  /* the session went first: unknown */
};

enum orders_db_effect_kind {
    ORDERS_DB_PAY,    /* charge the order; `age_ms`: how long ago its intent became durable */
    ORDERS_DB_REFUND, /* give a payment back: payment_method is the intent's id, reason the key */
    ORDERS_DB_LATE,   /* the gateway took `amount` by the intent `reason`, and the order is `detail`
                       */
    ORDERS_DB_LOOK, /* look whether the payment took money after all; `age_ms` as for ORDERS_DB_PAY
                     */
    ORDERS_DB_ACTION,   /* its buyer has been asked to act, and has `age_ms` left */
    ORDERS_DB_HINT,     /* something may have happened to its payment: look */
    ORDERS_DB_MORE,     /* the line of `sku` has more to settle */
    ORDERS_DB_CONFLICT, /* a retry of `order_id` came with another body */
    ORDERS_DB_TALLY,    /* `amount` orders became `detail` (`reason`) */
    ORDERS_DB_COMMAND,  /* command `amount` is `detail` ("done", "refused"): `reason` */
    ORDERS_DB_COMMANDS, /* there may be more commands to execute */
};

/* Strings are valid during the callback; NULL: absent. */
struct orders_db_effect {
    enum orders_db_effect_kind kind;
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
struct orders_db_settlement {
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
    const char *state;  /* of checkout.settle, or of checkout.settle_refunds; static */
    const char *intent; /* the gateway's id, of the refund if it is one; NULL: none */
    int64_t amount;     /* of a late success */
    const char *code;   /* the gateway's code; NULL: none */
};

/* All of these: 0, ERR_UNAVAILABLE or ERR_FULL as pg_query, ERR_NOMEM; `cb` comes only after 0. */
MUST_CHECK int orders_db_decide(const struct orders_db_place *place, int64_t wait_ms,
                                struct job_entry *const *jobs, size_t count, pg_result_cb cb,
                                void *arg);
MUST_CHECK int orders_db_settle(const struct orders_db_place *place,
                                const struct orders_db_settlement *settlements, size_t count,
                                pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_settle_refunds(const struct orders_db_place *place,
                                        const struct orders_db_settlement *settlements,
                                        size_t count, pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_settle_line(const struct orders_db_place *place, const char *sku,
                                     unsigned limit, pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_expire(const struct orders_db_place *place, unsigned limit,
                                pg_result_cb cb, void *arg);
/* `why`: payments are stopped, and with them the shard's clock; NULL: both go on. */
MUST_CHECK int orders_db_stop_payments(const struct orders_db_place *place, const char *why,
                                       pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_execute_commands(const struct orders_db_place *place, unsigned limit,
                                          pg_result_cb cb, void *arg);
/* Gives cancels that missed their order its shard, beginning behind command `after`. Answer: where
 * to go on next time. */
MUST_CHECK int orders_db_place_cancels(struct pg *session, int64_t after, unsigned limit,
                                       pg_result_cb cb, void *arg);
/* If `seen` is not the shard's epoch any more, only a shard whose owner is `member` is taken.
 * Answer: one row (epoch, relayed_to), the epoch null if it was not taken; no row if N is not in
 * service. */
#define ORDERS_DB_ANY_EPOCH (-1)
#define ORDERS_DB_IF_OURS (-2) /* no shard is at this epoch */
MUST_CHECK int orders_db_take_over(struct pg *session, uint32_t shards, uint32_t shard,
                                   int64_t member, int64_t seen, pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_release(const struct orders_db_place *place, pg_result_cb cb, void *arg);
/* Payments to resume, as effects. */
MUST_CHECK int orders_db_open_payments(struct pg *session, const uint32_t *shard_list, size_t count,
                                       int64_t age_ms, unsigned limit, pg_result_cb cb, void *arg);
/* Refunds to resume and late looks that are due, as effects. */
MUST_CHECK int orders_db_open_refunds(struct pg *session, const uint32_t *shard_list, size_t count,
                                      int64_t age_ms, unsigned limit, pg_result_cb cb, void *arg);
/* Rows (shard, kind, sku). */
MUST_CHECK int orders_db_overdue(struct pg *session, uint32_t shards, const uint32_t *shard_list,
                                 size_t count, pg_result_cb cb, void *arg);

enum orders_db_status orders_db_status(const struct pg_result *result);

typedef void (*orders_db_effect_cb)(const struct orders_db_effect *effect, void *arg);
/* Calls `cb` for each effect of a committed call. */
void orders_db_each_effect(const struct pg_result *result, orders_db_effect_cb cb, void *arg);

#endif
