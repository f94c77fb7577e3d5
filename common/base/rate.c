#include "common/base/rate.h"

int64_t rate_step_us(const struct rate *rate)
{
    return rate->period_s * 1000000 / rate->count;
}

int64_t rate_room_us(const struct rate *rate)
{
    return rate_step_us(rate) * rate->count;
}

/* When the bucket is full again after one more; a clock that was set back makes no wait longer. */
static int64_t after_one_more(const struct rate *rate, int64_t now_us, int64_t full_us)
{
    int64_t latest_us = now_us + rate_room_us(rate);
    if (full_us < now_us)
        full_us = now_us;
    if (full_us > latest_us)
        full_us = latest_us;
    return full_us + rate_step_us(rate);
}

bool rate_would_take(const struct rate *rate, int64_t now_us, int64_t full_us, int64_t *ret_wait_us)
{
    if (rate->count == 0)
        return true;
    int64_t over_us = after_one_more(rate, now_us, full_us) - now_us - rate_room_us(rate);
    if (over_us <= 0)
        return true;
    *ret_wait_us = over_us;
    return false;
}

bool rate_take(const struct rate *rate, int64_t now_us, int64_t *full_us, int64_t *ret_wait_us)
{
    if (!rate_would_take(rate, now_us, *full_us, ret_wait_us))
        return false;
    if (rate->count > 0)
        *full_us = after_one_more(rate, now_us, *full_us);
    return true;
}

void rate_put_back(const struct rate *rate, int64_t *full_us)
{
    if (rate->count > 0)
        *full_us -= rate_step_us(rate);
}
