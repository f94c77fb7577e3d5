#include "consumer/shard/patience.h"

bool patience_is_short(const struct patience *patience, uint64_t now_ms)
{
    return now_ms < patience->until_ms;
}

uint32_t patience_ms(const struct patience *patience, uint64_t now_ms)
{
    return patience_is_short(patience, now_ms) ? patience->short_ms : PATIENCE_USUAL_MS;
}

void patience_timeout(struct patience *patience, uint64_t now_ms)
{
    if (now_ms >= patience->until_ms + patience->short_ms) /* it may have begun within that time */
        patience->short_ms = PATIENCE_SHORT_MS;
    patience->until_ms = now_ms + PATIENCE_WHILE_MS;
}

void patience_grow(struct patience *patience)
{
    uint32_t longer_ms = patience->short_ms * 2;
    patience->short_ms = longer_ms < PATIENCE_MAX_MS ? longer_ms : PATIENCE_MAX_MS;
}
