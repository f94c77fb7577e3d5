/* Shows shards, alone and as a part of `top`. */
#ifndef CTL_POOL_SHARDS_H
#define CTL_POOL_SHARDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/pool/pool_view.h"

#define SHARDS_JSON_MAX ((size_t)2048) /* bytes of one shard */

/* All shards together. */
struct shards_sum {
    int64_t queued; /* VIEW_UNKNOWN: unknown for some shard */
    int64_t waiting;
    int64_t open_payments;
    int64_t unrelayed;
    int64_t oldest_ms;
    double decided_per_s;
    size_t unserved; /* without a live owner */
    size_t members_ready;
};

/* The first `count` of `order` (NULL: by number) as a table. Returns an exit code. */
MUST_CHECK int shards_print(const struct pool_view *view, const struct view_shard *const *order,
                            size_t count);
/* Appends one shard as an object. */
void shards_json(const struct pool_view *view, const struct view_shard *shard, struct buf *out);
void shards_sum(const struct pool_view *view, struct shards_sum *ret_sum);
void shards_print_sum(const struct pool_view *view, const struct shards_sum *sum);

#endif
