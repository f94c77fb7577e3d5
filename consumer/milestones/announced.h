/*
 * What this process has published of each shard that is or was its own, and the milestone that says
 * it: what it remembers when PostgreSQL is lost. Nothing here reads or writes.
 */
#ifndef CONSUMER_MILESTONES_ANNOUNCED_H
#define CONSUMER_MILESTONES_ANNOUNCED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define ANNOUNCED_SYSTEM_SIZE 24
#define ANNOUNCED_SHOP_SIZE 80 /* the fingerprint of the secret of order ids */

struct announced;

/* The database that events were published of. */
struct announced_database {
    int64_t generation;
    int64_t timeline;
    char system[ANNOUNCED_SYSTEM_SIZE]; /* "": not compared yet */
    char shop[ANNOUNCED_SHOP_SIZE];     /* "": it keeps no fingerprint */
};

/* NULL: no memory. */
struct announced *announced_new(uint32_t shards);
void announced_free(struct announced *announced); /* NULL is allowed */

/* The shard is served under this epoch (0: not by us), and its newest event that we published is
 * `event_id` (0: none). */
void announced_see(struct announced *announced, uint32_t shard, int64_t epoch, int64_t event_id);
/* A restore was finished: what is known of the shard is void, and so are its events up to this one,
 * which the database may lack for good. */
void announced_void(struct announced *announced, uint32_t shard, int64_t event_id);

/* Appends the milestone; nothing where the database was not compared yet. */
void announced_encode(const struct announced *announced, const struct announced_database *database,
                      struct buf *out);

#endif
