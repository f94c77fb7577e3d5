/* How fast the broker confirms jobs: over the last CONFIRM_RATE_MS, or since it was idle. Pure. */
#ifndef PRODUCER_CONFIRM_RATE_H
#define PRODUCER_CONFIRM_RATE_H

#include <stddef.h>
#include <stdint.h>

#define CONFIRM_RATE_MS 400
#define CONFIRM_RATE_EACH_MS 25
#define CONFIRM_RATE_SAMPLES (CONFIRM_RATE_MS / CONFIRM_RATE_EACH_MS + 2)

/* All zero: nothing is known. */
struct confirm_rate {
    struct {
        uint64_t ms;
        uint64_t confirmed;
    } at[CONFIRM_RATE_SAMPLES]; /* the first is CONFIRM_RATE_MS ago, if it was busy for so long */
    size_t first;
    size_t count;
    uint64_t idle_ms; /* there was no job then, and has been none since; 0: there is one */
};

/* Call it before each job, and a few times a second. `jobs` wait now, `confirmed` were, ever. */
void confirm_rate_sample(struct confirm_rate *rate, size_t jobs, uint64_t confirmed,
                         uint64_t now_ms);
/* How long so many jobs take at this rate; UINT64_MAX: none was confirmed. Sample first. */
uint64_t confirm_rate_wait_ms(const struct confirm_rate *rate, uint64_t jobs, uint64_t confirmed,
                              uint64_t now_ms);

#endif
