#include "consumer/relay/pace.h"

#include <string.h>

static void keep(struct pace *pace, int64_t left, uint64_t now_ms)
{
    if (pace->count > 0 && now_ms - pace->samples[pace->count - 1].at_ms < PACE_SAMPLE_MS)
        return;
    if (pace->count == PACE_SAMPLES) {
        memmove(pace->samples, pace->samples + 1, (PACE_SAMPLES - 1) * sizeof pace->samples[0]);
        pace->count--;
    }
    pace->samples[pace->count++] = (struct pace_sample){now_ms, left};
}

int64_t pace_see(struct pace *pace, int64_t left, uint64_t now_ms)
{
    if (pace->count > 0 && left < pace->samples[pace->count - 1].left)
        pace_reset(pace); /* another database */
    keep(pace, left, now_ms);
    uint64_t seen_ms = now_ms - pace->samples[0].at_ms;
    int64_t steps = left - pace->samples[0].left;
    if (seen_ms < PACE_OLD_ENOUGH || steps <= 0)
        return 0;
    int64_t step_ms = (int64_t)seen_ms / steps;
    return step_ms > 0 ? step_ms : 1;
}

void pace_reset(struct pace *pace)
{
    pace->count = 0;
}
