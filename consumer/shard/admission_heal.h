/*
 * Keys of admission that stand there for no reason. An old file of Redis brings a lock back whose
 * order has ended: it is compared and deleted. A key without an end, or with a later one than we
 * give (set by hand, or on a host whose clock stepped back), would say for long what the tables do
 * not: that of a state is deleted and counted, a lock without an end gets its usual one.
 */
#ifndef CONSUMER_SHARD_ADMISSION_HEAL_H
#define CONSUMER_SHARD_ADMISSION_HEAL_H

#include <stdbool.h>

#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"
#include "common/service/metrics.h"
#include "common/shop/job.h"

struct admission_heal { /* zeroed but for the servers, which outlive it */
    struct pg *session;
    struct redis *redis;
    struct metric *foreign; /* states deleted; NULL: not counted */
    char after_shard[12];   /* the page of items ends there; "": none was read yet */
    char after[JOB_SKU_MAX + 1];
    bool asking;
};

/* Looks at an item's lock. */
void admission_heal_lock(struct admission_heal *heal, const char *sku);
/* Looks at the states of the next page of the items of these shards, an array of PostgreSQL. */
void admission_heal_page(struct admission_heal *heal, const char *shards);
/* Deletes an item's lock if it is this order's. */
void admission_heal_release(struct admission_heal *heal, const char *sku, const char *order_id);

#endif
