/* What the main() of a program around a dispatcher does, whatever its transport is. */
#ifndef NOTIFIER_DISPATCH_DISPATCH_PROGRAM_H
#define NOTIFIER_DISPATCH_DISPATCH_PROGRAM_H

#include <stdbool.h>

#include "common/service/daemon.h"
#include "notifier/dispatch/dispatcher.h"

struct dispatch_program {
    struct daemon daemon;
    struct dispatcher *dispatcher; /* not owned; NULL: not yet */
};

/* Of a struct daemon_program whose `arg` is a struct dispatch_program. */
bool dispatch_program_ready(void *arg, struct buf *ret_why);
void dispatch_program_drain(void *arg);
/* Around that dispatcher, until the program has left. */
void dispatch_program_run(struct dispatch_program *program, struct dispatcher *dispatcher);

#endif
