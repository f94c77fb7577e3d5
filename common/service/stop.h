/* The end of a program: SIGTERM and SIGINT, and the messages for systemd. */
#ifndef COMMON_SERVICE_STOP_H
#define COMMON_SERVICE_STOP_H

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct stop;

/* Calls `cb` once, at the first SIGTERM or SIGINT (a second SIGINT ends the process at once). Also
 * feeds the watchdog of $WATCHDOG_USEC while the loop turns. NULL: no memory. */
struct stop *stop_new(struct loop *loop, loop_cb cb, void *arg);
void stop_free(struct stop *stop);

/* Messages to the service manager ($NOTIFY_SOCKET); without one, nothing happens. */
void stop_notify_ready(void);
void stop_notify_stopping(void);

#endif
