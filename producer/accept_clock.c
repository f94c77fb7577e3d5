#include "producer/accept_clock.h"

/* Whether two measures cannot both be right: the database's clock was set, or is another one. */
static bool contradicts(const struct accept_clock *clock, int64_t offset_ms, uint64_t error_ms)
{
    int64_t apart_ms = offset_ms - clock->offset_ms;
    return (uint64_t)(apart_ms < 0 ? -apart_ms : apart_ms) > error_ms + clock->error_ms + 1;
}

void accept_clock_measured(struct accept_clock *clock, uint64_t sent_ms, uint64_t received_ms,
                           int64_t server_ms)
{
    uint64_t took_ms = received_ms - sent_ms;
    if (took_ms > ACCEPT_CLOCK_MEASURE_MAX_MS)
        return;
    uint64_t error_ms = (took_ms + 1) / 2;
    int64_t offset_ms = server_ms - (int64_t)(sent_ms + took_ms / 2);
    if (clock->known && error_ms > clock->error_ms &&
        received_ms < clock->measured_ms + ACCEPT_CLOCK_MEASURE_LIFE_MS &&
        !contradicts(clock, offset_ms, error_ms))
        return; /* the one that is known is the better one */
    *clock = (struct accept_clock){true, offset_ms, error_ms, received_ms};
}

int64_t accept_clock_now(const struct accept_clock *clock, uint64_t mono_ms, int64_t wall_ms)
{
    return clock->known ? (int64_t)mono_ms + clock->offset_ms : wall_ms;
}

int64_t accept_clock_drift(const struct accept_clock *clock, uint64_t mono_ms, int64_t wall_ms)
{
    return clock->known ? wall_ms - accept_clock_now(clock, mono_ms, wall_ms) : 0;
}
