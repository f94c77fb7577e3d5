/*
 * A message from a queue of the old number of shards, as messages for queues of the new number. Its
 * jobs keep their order. What a consumer could not read stays what it is: the consumer of the new
 * queue deals with it as that of the old one would have. Pure.
 */
#ifndef CTL_RESHARD_PARCELS_H
#define CTL_RESHARD_PARCELS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/shop/ids.h"

struct parcel {
    uint32_t shard; /* of the new number */
    size_t jobs;
    struct buf body;
};

struct parcels {
    struct parcel *list;
    size_t count;
};

/* Of a message from the queue of `shard` of `from`. 0 with `ret_parcels` (parcels_free), or
 * ERR_NOMEM. */
MUST_CHECK int parcels_make(const void *body, size_t len, uint32_t shard, uint32_t from,
                            uint32_t to, struct ids *ids, struct parcels *ret_parcels);
void parcels_free(struct parcels *parcels);

#endif
