#include "common/service/loop_lag.h"

#include <stdlib.h>

#include "common/base/clock.h"

#define SAMPLE_MS 100
#define US_PER_MS 1000
#define US_PER_S 1e6

struct loop_lag {
    struct loop_timer *timer;
    struct metric *seconds;
    uint64_t due_us;
};

static void arm(struct loop_lag *lag)
{
    lag->due_us = clock_mono_us() + (uint64_t)SAMPLE_MS * US_PER_MS;
    loop_timer_start(lag->timer, SAMPLE_MS, 0);
}

/* The loop's clock counts whole milliseconds: a timer may run up to 1 ms early. */
static void sample(void *arg)
{
    struct loop_lag *lag = arg;
    uint64_t now_us = clock_mono_us();
    uint64_t late_us = now_us > lag->due_us ? now_us - lag->due_us : 0;
    metric_observe(lag->seconds, (double)late_us / US_PER_S);
    arm(lag);
}

struct loop_lag *loop_lag_new(struct loop *loop, struct metrics *metrics)
{
    struct loop_lag *lag = calloc(1, sizeof *lag);
    if (lag == NULL)
        return NULL;
    lag->timer = loop_timer_new(loop, sample, lag);
    if (lag->timer == NULL) {
        free(lag);
        return NULL;
    }
    lag->seconds =
        metrics_histogram(metrics, "checkout_loop_lag_seconds",
                          "How late a timer ran: the time that the loop was busy.", NULL);
    arm(lag);
    return lag;
}

void loop_lag_free(struct loop_lag *lag)
{
    if (lag == NULL)
        return;
    loop_timer_free(lag->timer);
    free(lag);
}
