/*
 * A limit of so many in a time, as a token bucket: that many may come at once, and the places come
 * back one by one, evenly. The state is one number, the time at which the bucket is full again
 * (the generic cell rate algorithm). Redis does the same arithmetic in producer/admission/. Pure.
 */
#ifndef COMMON_BASE_RATE_H
#define COMMON_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct rate {
    int64_t count;    /* 0: no limit */
    int64_t period_s; /* in which `count` places come back */
};

/* Microseconds in which one place comes back. */
int64_t rate_step_us(const struct rate *rate);
/* Microseconds that an empty bucket needs to be full again. */
int64_t rate_room_us(const struct rate *rate);

/* Takes a place. `full_us`: when the bucket is full again; 0 or past: it is full now. False: there
 * is no place; *ret_wait_us says for how long. */
MUST_CHECK bool rate_take(const struct rate *rate, int64_t now_us, int64_t *full_us,
                          int64_t *ret_wait_us);
/* The same without taking it. */
MUST_CHECK bool rate_would_take(const struct rate *rate, int64_t now_us, int64_t full_us,
                                int64_t *ret_wait_us);
/* Returns a place. */
void rate_put_back(const struct rate *rate, int64_t *full_us);

#endif
