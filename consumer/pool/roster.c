#include "consumer/pool/roster.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

int roster_init(struct roster *r, uint32_t shards)
{
    *r = (struct roster){.shards = shards,
                         .places = calloc(shards, sizeof *r->places),
                         .entries = calloc(shards, sizeof *r->entries)};
    return r->places == NULL || r->entries == NULL ? ERR_NOMEM : 0;
}

void roster_free(struct roster *r)
{
    free(r->places);
    free(r->entries);
}

void roster_join(struct roster *r, int64_t self)
{
    liveness_init(&r->liveness, self);
    r->assigned_count = 0;
}

void roster_read(struct roster *r, int64_t shard, int64_t owner, int64_t epoch)
{
    if (shard >= 0 && shard < r->shards)
        r->entries[shard] = (struct roster_entry){owner, epoch};
}

bool roster_observe(struct roster *r, const struct member_row *rows, size_t count, uint64_t now_ms)
{
    liveness_observe(&r->liveness, rows, count, now_ms);
    return liveness_alive(&r->liveness, r->liveness.self);
}

int roster_assign(struct roster *r)
{
    int64_t ids[LIVENESS_MAX];
    size_t count = liveness_assignable(&r->liveness, ids);
    r->reassigned =
        count != r->assigned_count || memcmp(ids, r->assigned, count * sizeof *ids) != 0;
    if (!r->reassigned)
        return 0;
    int code = assignment_assign(ids, count, r->shards, r->places);
    if (code < 0)
        return code;
    memcpy(r->assigned, ids, count * sizeof *ids);
    r->assigned_count = count;
    return 0;
}

bool roster_elsewhere(const struct roster *r, uint32_t shard)
{
    int64_t owner = r->entries[shard].owner;
    return owner != 0 && owner != r->liveness.self && liveness_alive(&r->liveness, owner);
}
