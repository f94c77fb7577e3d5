/* Leaving in order: SIGTERM and SIGINT, and what systemd wants to hear. */
#ifndef COMMON_SERVICE_STOP_H
#define COMMON_SERVICE_STOP_H

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct stop;

/* Calls `cb` once, at the first SIGTERM or SIGINT (a second SIGINT ends the process at once). Also
 * ignores SIGPIPE, and beats the watchdog of $WATCHDOG_USEC while the loop turns. NULL: no memory.
 */
struct stop *stop_new(struct loop *loop, loop_cb cb, void *arg);
void stop_free(struct stop *stop);

/* Tell the service manager ($NOTIFY_SOCKET); nothing happens without one. */
void stop_notify_ready(void);
void stop_notify_stopping(void);

#endif
