#include "common/base/backoff.h"

void backoff_init(struct backoff *b, uint32_t first_ms, uint32_t max_ms, uint64_t seed)
{
    *b = (struct backoff){.first_ms = first_ms, .max_ms = max_ms, .random = seed};
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint32_t backoff_next(struct backoff *b)
{
    if (b->step_ms == 0)
        b->step_ms = b->first_ms;
    else
        b->step_ms = b->step_ms > b->max_ms / 2 ? b->max_ms : b->step_ms * 2;
    uint32_t half = b->step_ms / 2;
    return b->step_ms - half + (uint32_t)(next_random(&b->random) % (half + 1U));
}

void backoff_reset(struct backoff *b)
{
    b->step_ms = 0;
}
