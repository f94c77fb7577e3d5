/* The end of a program: SIGTERM and SIGINT, and the messages for systemd. */
#ifndef COMMON_SERVICE_STOP_H
#define COMMON_SERVICE_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct stop;

/* Calls `cb` once, `delay_ms` after the first SIGTERM or SIGINT (a second SIGINT ends the process
 * at once). Also feeds the watchdog of $WATCHDOG_USEC while the loop turns. NULL: no memory. */
struct stop *stop_new(struct loop *loop, uint64_t delay_ms, loop_cb cb, void *arg);
/* Whether a signal has come: the process is not ready any more. */
bool stop_begun(const struct stop *stop);
void stop_free(struct stop *stop);

/* Messages to the service manager ($NOTIFY_SOCKET); without one, nothing happens. */
void stop_notify_ready(void);
void stop_notify_stopping(void);

#endif
