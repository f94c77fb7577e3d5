#include "notifier/dispatch/dispatch_program.h"

#include "common/base/log.h"
#include "common/service/stop.h"

bool dispatch_program_ready(void *arg, struct buf *ret_why)
{
    const struct dispatch_program *program = arg;
    bool database = program->dispatcher != NULL && dispatcher_ready(program->dispatcher);
    bool leaving = stop_begun(program->daemon.stop);
    if (!database)
        (void)buf_str(ret_why, "PostgreSQL is not connected\n");
    if (leaving)
        (void)buf_str(ret_why, "it is leaving\n");
    return database && !leaving;
}

static void drained(void *arg)
{
    struct dispatch_program *program = arg;
    loop_stop(program->daemon.loop);
}

void dispatch_program_drain(void *arg)
{
    struct dispatch_program *program = arg;
    log_info("leaving");
    stop_notify_stopping();
    if (program->dispatcher == NULL)
        drained(program);
    else
        dispatcher_drain(program->dispatcher, drained, program);
}

void dispatch_program_run(struct dispatch_program *program, struct dispatcher *dispatcher)
{
    program->dispatcher = dispatcher;
    stop_notify_ready();
    loop_run(program->daemon.loop);
}
