#include "consumer/gateway/look_pace.h"

#define HINTS_COME_MS 600000
#define HINTED_MS 60000
#define EACH_MS 200 /* all of them together, one in so long: a fifth of Stripe's 25 a second */
#define SOON_MS 1000
#define SOON_LAST_MS 5000

bool look_pace_hints_come(int64_t hinted_ms, int64_t now_ms)
{
    return hinted_ms != 0 && now_ms - hinted_ms < HINTS_COME_MS;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t look_pace_ms(size_t waiting, bool hints_come, uint32_t backoff_ms)
{
    return larger(waiting * EACH_MS, hints_come ? HINTED_MS : backoff_ms);
}

uint64_t look_pace_failed_ms(size_t waiting, uint32_t backoff_ms)
{
    return larger(waiting * EACH_MS, backoff_ms);
}

uint64_t look_pace_soon_ms(unsigned soon)
{
    return soon >= LOOK_PACE_SOON ? SOON_MS : SOON_LAST_MS;
}
