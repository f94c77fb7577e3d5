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

void patience_passed(struct patience *patience, uint32_t took_ms)
{
    uint32_t enough_ms = took_ms < PATIENCE_SHORT_MS / 2 ? PATIENCE_SHORT_MS : took_ms * 2;
    if (enough_ms < patience->short_ms)
        patience->short_ms = enough_ms;
}
