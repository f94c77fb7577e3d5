#include "deploy/sandbox/limit.h"

#define WINDOW_MS 1000

bool limit_allows(const struct limit *limit, uint32_t most, uint64_t now_ms)
{
    if (most == 0)
        return true;
    uint64_t before_ms = limit->times_ms[(limit->next + LIMIT_MAX - most) % LIMIT_MAX];
    return before_ms == 0 || now_ms >= before_ms + WINDOW_MS;
}

void limit_count(struct limit *limit, uint64_t now_ms)
{
    limit->times_ms[limit->next] = now_ms;
    limit->next = (limit->next + 1) % LIMIT_MAX;
}
