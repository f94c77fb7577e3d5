/*
 * How many calls may be made, and how many of them are looks at payments that wait. At first so
 * many may be in flight: those that take long do not count, and one is added with each round of
 * answers. A gateway that answers "too many requests" (429) to many of them has a limit, so many a
 * second: then so many calls may be begun in any second, one less with each refusal (at most half
 * in a round trip), and one more with each second that was full and had none. After a minute
 * without many refusals calls in flight count again. A single 429 now and then (a lock, say) means
 * nothing. Pure; times are monotonic.
 */
#ifndef CONSUMER_GATEWAY_WINDOW_H
#define CONSUMER_GATEWAY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_SLOT_MS 50 /* also: what may be made up for of a late timer */
#define WINDOW_SLOTS 21   /* a second, and the slot that is under way */
#define WINDOW_LOOKS 5    /* looks are one of so many */

/* How often something has happened in the last second. */
struct window_second {
    struct {
        uint64_t number;
        unsigned count;
    } slots[WINDOW_SLOTS];
};

struct window {
    unsigned size; /* calls in flight; or, where there is a limit, calls begun in a second */
    unsigned max;
    bool limited;
    unsigned least;    /* of `size`, in this round trip */
    uint64_t round_ms; /* calls made before tell nothing about the size of now */
    uint64_t many_ms;  /* when many were refused last */
    uint64_t next_us;  /* where there is a limit: no call before */
    uint64_t grown_ms; /* when one was added last */
    unsigned answers;  /* served since */
    unsigned earned;   /* other calls since the last look, up to a look's turn */
    struct window_second looks;
    struct window_second begun;
    struct window_second refused;
};

void window_init(struct window *window, unsigned first, unsigned max);
/* Whether one more may be made, beside `inflight` that do not take long. */
bool window_lets(const struct window *window, size_t inflight, uint64_t now_ms);
/* Where there is a limit: in so long one may be made; else 0. */
uint32_t window_wait_ms(const struct window *window, uint64_t now_ms);
/* Whether a look may be made, beside `looking`: they are a fifth of what may be in flight, and of
 * the calls in a second where there is a limit; and of all calls while others wait. */
bool window_lets_look(const struct window *window, size_t looking, bool others_wait,
                      uint64_t now_ms);
/* Whether it is a look's turn before others that wait. */
bool window_look_is_due(const struct window *window);
/* It is made. */
void window_called(struct window *window, bool look, uint64_t now_ms);
/* A call was served, with `inflight` in flight; or, made at `sent_ms`, refused as too many. */
void window_served(struct window *window, size_t inflight, uint64_t now_ms);
void window_refused(struct window *window, uint64_t sent_ms, uint64_t now_ms);

#endif
