/*
 * Items whose jobs are set aside, and whose next try is due: what a shard's writer tries again, one
 * item in a transaction, with fewer jobs after a failure. The rows are in PostgreSQL; what is
 * forgotten here is found by the sweep.
 */
#ifndef CONSUMER_SHARD_ASIDE_H
#define CONSUMER_SHARD_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"
#include "consumer/shard/orders_db.h"

#define ASIDE_ITEMS_MAX 64
#define ASIDE_JOBS 256 /* of one try, after one of the head alone */
#define ASIDE_PARTS 8  /* one that fails is cut into so many */

struct aside_item {
    char sku[JOB_SKU_MAX + 1];
    unsigned limit; /* jobs of the next try; 0: it failed, and is postponed */
    bool flawed;    /* its first job is refused: decide it as invalid */
};

struct aside { /* zeroed at first */
    struct aside_item items[ASIDE_ITEMS_MAX];
    size_t count;
};

/* It is tried with its first `limit` jobs, unless it is there. */
void aside_add(struct aside *aside, const char *sku, unsigned limit);
/* Sends the next transaction, about the first item; `why` its last one failed is for people. 0, or
 * as orders_db_decide. */
MUST_CHECK int aside_begin(const struct aside *aside, const struct orders_db_place *place,
                           int64_t wait_ms, const char *why, pg_result_cb cb, void *arg);
/* It is committed: the item leaves. Its task, or the sweep, says whether there is more. */
void aside_done(struct aside *aside);
/* It failed: with fewer jobs; after that, later. */
void aside_failed(struct aside *aside);
/* A value is refused: a single job becomes invalid. */
void aside_refused(struct aside *aside);

#endif
