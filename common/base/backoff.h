/* Exponential backoff with full jitter between half and the whole of each step. */
#ifndef COMMON_BASE_BACKOFF_H
#define COMMON_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t first_ms;
    uint32_t max_ms;
    uint32_t step_ms; /* 0: the next one is the first */
    uint64_t random;  /* state of the jitter's generator (splitmix64) */
};

/* `seed`: anything that differs between processes. */
void backoff_init(struct backoff *b, uint32_t first_ms, uint32_t max_ms, uint64_t seed);
/* The milliseconds to wait before the next try; doubles the step up to max_ms. */
uint32_t backoff_next(struct backoff *b);
/* It worked: the next wait is the first again. */
void backoff_reset(struct backoff *b);

#endif
