#include "common/service/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/log.h"

#define EXIT_INTERRUPTED 130

struct stop {
    loop_cb cb;
    void *arg;
    struct loop_signal *terminate;
    struct loop_signal *interrupt;
    struct loop_timer *watchdog;
    struct loop_timer *delay;
    uint64_t delay_ms;
    bool stopping;
};

static void leave(struct stop *stop, const char *signal_name)
{
    if (stop->stopping)
        return;
    stop->stopping = true;
    log_info("stopping", LOG_STR("signal", signal_name),
             LOG_INT("delay_ms", (int64_t)stop->delay_ms));
    stop_notify_stopping();
    if (stop->delay_ms == 0)
        stop->cb(stop->arg);
    else
        loop_timer_start(stop->delay, stop->delay_ms, 0);
}

static void delay_over(void *arg)
{
    const struct stop *stop = arg;
    stop->cb(stop->arg);
}

static void terminated(void *arg)
{
    leave(arg, "SIGTERM");
}

/* A second Ctrl-C at a terminal means: do not wait. */
static void interrupted(void *arg)
{
    struct stop *stop = arg;
    if (stop->stopping)
        _exit(EXIT_INTERRUPTED);
    leave(stop, "SIGINT");
}

static void feed_watchdog(void *arg)
{
    (void)arg;
    (void)sd_notify(0, "WATCHDOG=1"); /* a manager that does not listen has no effect on us */
}

struct stop *stop_new(struct loop *loop, uint64_t delay_ms, loop_cb cb, void *arg)
{
    struct stop *stop = calloc(1, sizeof *stop);
    if (stop == NULL)
        return NULL;
    stop->cb = cb;
    stop->arg = arg;
    stop->delay_ms = delay_ms;
    stop->delay = loop_timer_new(loop, delay_over, stop);
    stop->terminate = loop_signal_new(loop, SIGTERM, terminated, stop);
    stop->interrupt = loop_signal_new(loop, SIGINT, interrupted, stop);
    stop->watchdog = loop_timer_new(loop, feed_watchdog, NULL);
    if (stop->terminate == NULL || stop->interrupt == NULL || stop->watchdog == NULL ||
        stop->delay == NULL) {
        stop_free(stop);
        return NULL;
    }
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        loop_timer_start(stop->watchdog, 0, watchdog_us / 2000 > 0 ? watchdog_us / 2000 : 1);
    return stop;
}

void stop_free(struct stop *stop)
{
    if (stop == NULL)
        return;
    loop_signal_free(stop->terminate);
    loop_signal_free(stop->interrupt);
    loop_timer_free(stop->watchdog);
    loop_timer_free(stop->delay);
    free(stop);
}

bool stop_begun(const struct stop *stop)
{
    return stop->stopping;
}

void stop_notify_ready(void)
{
    (void)sd_notify(0, "READY=1"); /* as in feed_watchdog() */
}

void stop_notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}
