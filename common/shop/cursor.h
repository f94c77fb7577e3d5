/*
 * The position of a reader of events: one number for each shard, since event ids are in commit
 * order only within a shard. There may be more of them than shards in service: events keep the
 * shard under which they were written when the number of shards changes. As text: N, a colon, and N
 * numbers in base 36 with dots between them; an empty one is 0. Pure.
 */
#ifndef COMMON_SHOP_CURSOR_H
#define COMMON_SHOP_CURSOR_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define CURSOR_SHARDS_MAX 1024

struct cursor {
    uint32_t shards;
    int64_t positions[CURSOR_SHARDS_MAX];
};

/* The reader has seen the shard's events up to `position`. A cursor of fewer shards gets longer: a
 * position that it did not have is 0. `shard` is below CURSOR_SHARDS_MAX. */
void cursor_advance(struct cursor *cursor, uint32_t shard, int64_t position);
/* 0 or ERR_PARSE. */
MUST_CHECK int cursor_parse(const char *text, struct cursor *ret_cursor);
void cursor_write(const struct cursor *cursor, struct buf *out);

#endif
