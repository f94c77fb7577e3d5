/* The first and the last things of every main(). */
#ifndef COMMON_SERVICE_PROCESS_H
#define COMMON_SERVICE_PROCESS_H

#include "common/base/attrs.h"

/*
 * Call it before anything else. It opens /dev/null for each of descriptors 0 to 2 that is closed,
 * so that no socket gets such a number and then log lines; ignores SIGPIPE (writes report EPIPE)
 * and SIGHUP (a program ends by SIGTERM); gives libuv's pool enough threads, so that a resolver
 * that answers slowly holds up only who needs it.
 */
void process_begin(void);
/* For daemons: until stop_new(), SIGTERM and SIGINT end the process at once with code 0 (nothing
 * has been accepted yet). Without a handler the kernel would ignore them for process 1 of a
 * container. */
void process_end_on_signal(void);

/* Begins the same program anew in this process, with the same environment. Call it instead of
 * process_end() when everything is closed; it returns what main() returns if that cannot be. */
MUST_CHECK int process_again(char *const *argv);

/* What main() returns, its last call: `exit_code`. If a call in the background still blocks (a
 * resolver), it ends the process itself, without waiting for that. */
MUST_CHECK int process_end(int exit_code);

#endif
