/*
 * The SQL of deciding and settling: each call is one statement, so one transaction, of schemas/sql.
 * It writes parameters and reads answers; the writer decides when to call.
 */
#ifndef CONSUMER_SHARD_ORDERS_DB_H
#define CONSUMER_SHARD_ORDERS_DB_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/net/pg/pg.h"
#include "common/shop/job.h"
#include "consumer/money/outcome.h"

/* What a take-over and a release may take: they wait for a transaction of another. The sessions'
 * own statement timeout. */
#define ORDERS_DB_PATIENT_MS 14000

/* Whose transaction it is: the fence of every writing call. */
struct orders_db_place {
    struct pg *session;
    uint32_t shards;
    uint32_t shard;
    int64_t epoch;
};

/* How a call ended. */
enum orders_db_status {
    ORDERS_DB_DONE,       /* committed */
    ORDERS_DB_FENCED,     /* refused: the epoch is over */
    ORDERS_DB_REFUSED,    /* refused: PostgreSQL rejects some value; nothing was written */
    ORDERS_DB_BUSY,       /* refused: a lock or a deadlock; nothing was written */
    ORDERS_DB_SLOW,       /* refused: it took longer than it may; nothing was written */
    ORDERS_DB_FENCE_BUSY, /* refused: another session keeps the shard's row; nothing was written */
    ORDERS_DB_RETRY,      /* refused for now (shutting down, read-only, disk full, …); nothing was
                           * written
                           */
    ORDERS_DB_LOST,       /* the session ended before the answer: unknown */
};

/* All of these: 0, ERR_UNAVAILABLE or ERR_FULL as pg_query, ERR_NOMEM; `cb` comes only after 0. */
MUST_CHECK int orders_db_decide(const struct orders_db_place *place, int64_t wait_ms,
                                struct job_entry *const *jobs, size_t count, pg_result_cb cb,
                                void *arg);
/* Sets them aside in place of deciding them; `why` is for people. */
MUST_CHECK int orders_db_set_aside(const struct orders_db_place *place, const char *why,
                                   struct job_entry *const *jobs, size_t count, pg_result_cb cb,
                                   void *arg);
/* Decides the first `limit` jobs of `sku` that are set aside; `flaw`: NULL, or why they are
 * invalid. */
MUST_CHECK int orders_db_decide_aside(const struct orders_db_place *place, int64_t wait_ms,
                                      const char *sku, unsigned limit, const char *flaw,
                                      pg_result_cb cb, void *arg);
/* That failed: they are tried again later. */
MUST_CHECK int orders_db_postpone_aside(const struct orders_db_place *place, const char *sku,
                                        const char *why, pg_result_cb cb, void *arg);
/* Answer: rows (shard, sku or null: not due yet, items in all). */
MUST_CHECK int orders_db_overdue_aside(struct pg *session, const uint32_t *shard_list, size_t count,
                                       pg_result_cb cb, void *arg);
/* What came of payments; and of refunds and late looks. */
MUST_CHECK int orders_db_settle(const struct orders_db_place *place, const struct outcome *outcomes,
                                size_t count, pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_record_refunds(const struct orders_db_place *place,
                                        const struct outcome *outcomes, size_t count,
                                        pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_settle_waitlist(const struct orders_db_place *place, const char *sku,
                                         unsigned limit, pg_result_cb cb, void *arg);
/* Of the first `count` of these items. */
MUST_CHECK int orders_db_expire(const struct orders_db_place *place, unsigned limit,
                                const char (*skus)[JOB_SKU_MAX + 1], size_t count, pg_result_cb cb,
                                void *arg);
/* `why`: payments stop, and with them the shard's clock; NULL: both go on. */
MUST_CHECK int orders_db_stop_payments(const struct orders_db_place *place, const char *why,
                                       pg_result_cb cb, void *arg);
/* Passes over the first `passed` commands, and others of the same items. */
MUST_CHECK int orders_db_run_commands(const struct orders_db_place *place, unsigned limit,
                                      unsigned passed, pg_result_cb cb, void *arg);
/* Assigns a shard to cancels that missed their order, from command `after` on. Answer: where to go
 * on next time. */
MUST_CHECK int orders_db_place_cancels(struct pg *session, int64_t after, unsigned limit,
                                       pg_result_cb cb, void *arg);
/* If `seen` is not the shard's epoch any more, it takes only a shard whose owner is `member`.
 * Answer: one row (epoch, relayed_to), the epoch null if it was not taken; no row if N is not in
 * service. */
#define ORDERS_DB_ANY_EPOCH (-1)
#define ORDERS_DB_IF_OURS (-2) /* no shard is at this epoch */
MUST_CHECK int orders_db_take_over(struct pg *session, uint32_t shards, uint32_t shard,
                                   int64_t member, int64_t seen, pg_result_cb cb, void *arg);
MUST_CHECK int orders_db_release(const struct orders_db_place *place, pg_result_cb cb, void *arg);
/* Charges to resume, the oldest first; `after` (NULL: none): those behind this one. */
struct orders_db_payment {
    char order_id[IDS_ORDER_SIZE];
    int64_t attempt;
};
MUST_CHECK int orders_db_resume_charges(struct pg *session, const uint32_t *shard_list,
                                        size_t count, int64_t age_ms, unsigned limit,
                                        const struct orders_db_payment *after, pg_result_cb cb,
                                        void *arg);
/* Refunds to resume and late looks that are due. */
MUST_CHECK int orders_db_resume_refunds(struct pg *session, const uint32_t *shard_list,
                                        size_t count, int64_t age_ms, unsigned limit,
                                        pg_result_cb cb, void *arg);
/* Where the next page of items with a waitlist begins: behind this one. */
struct orders_db_item {
    int64_t shard; /* -1: from the beginning */
    char sku[JOB_SKU_MAX + 1];
};
/* Rows (shard, kind, sku). */
MUST_CHECK int orders_db_overdue(struct pg *session, uint32_t shards, const uint32_t *shard_list,
                                 size_t count, const struct orders_db_item *after, unsigned page,
                                 pg_result_cb cb, void *arg);

enum orders_db_status orders_db_status(const struct pg_result *result);

#endif
