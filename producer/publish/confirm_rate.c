#include "producer/publish/confirm_rate.h"

#define IDLE_MS 20 /* what was confirmed before so long a rest says nothing */

static size_t place(const struct confirm_rate *rate, size_t number)
{
    return (rate->first + number) % CONFIRM_RATE_SAMPLES;
}

void confirm_rate_sample(struct confirm_rate *rate, size_t jobs, uint64_t confirmed,
                         uint64_t now_ms)
{
    if (jobs > 0 || rate->idle_ms == 0)
        rate->idle_ms = jobs > 0 ? 0 : now_ms;
    else if (now_ms - rate->idle_ms >= IDLE_MS)
        rate->count = 0;
    while (rate->count > 1 && now_ms - rate->at[place(rate, 1)].ms >= CONFIRM_RATE_MS) {
        rate->first = place(rate, 1);
        rate->count--;
    }
    if (rate->count == CONFIRM_RATE_SAMPLES ||
        (rate->count > 0 &&
         now_ms - rate->at[place(rate, rate->count - 1)].ms < CONFIRM_RATE_EACH_MS))
        return;
    size_t next = place(rate, rate->count++);
    rate->at[next].ms = now_ms;
    rate->at[next].confirmed = confirmed;
}

uint64_t confirm_rate_wait_ms(const struct confirm_rate *rate, uint64_t jobs, uint64_t confirmed,
                              uint64_t now_ms)
{
    uint64_t done = confirmed - rate->at[rate->first].confirmed;
    return done == 0 ? UINT64_MAX : jobs * (now_ms - rate->at[rate->first].ms) / done;
}
