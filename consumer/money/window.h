/*
 * How many calls may be in flight: less when the gateway says that there are too many (429), more
 * when it does not. Halved at most once, and one added at most, in the time of one answer. Pure;
 * times are monotonic.
 */
#ifndef CONSUMER_MONEY_WINDOW_H
#define CONSUMER_MONEY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
    unsigned size;
    unsigned max;
    uint64_t halved_ms; /* calls that were made before tell nothing about the size of now */
    unsigned answers;   /* served since one was added */
};

void window_init(struct window *window, unsigned first, unsigned max);
/* Whether one more may be made. */
bool window_lets(const struct window *window, size_t inflight);
/* A call that was made at `sent_ms`, with `inflight` in flight, was served; or refused as too many.
 */
void window_served(struct window *window, size_t inflight);
void window_refused(struct window *window, uint64_t sent_ms, uint64_t now_ms);

#endif
