/* How fast a line moves: how many left it over the last minute. Pure. */
#ifndef CONSUMER_RELAY_PACE_H
#define CONSUMER_RELAY_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_SAMPLES 12       /* kept, … */
#define PACE_SAMPLE_MS 5000   /* … at least so far apart: a minute in all */
#define PACE_OLD_ENOUGH 20000 /* ms that must have been seen before anything is said */

struct pace_sample {
    uint64_t at_ms;
    int64_t left;
};

/* Zeroed: nothing was seen. */
struct pace {
    struct pace_sample samples[PACE_SAMPLES]; /* oldest first */
    size_t count;
};

/* `left` orders have left the line so far; the clock is monotonic. Returns about how many ms one
 * step takes, or 0: not known. */
int64_t pace_see(struct pace *pace, int64_t left, uint64_t now_ms);
/* The line stands still for a reason of its own: what was seen says nothing about what comes. */
void pace_reset(struct pace *pace);

#endif
