#include "common/service/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/loop.h"

/* Each connection to a server may resolve its name in one. */
#define POOL_THREADS "32"

void process_begin(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* takes the lowest number that is free */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
    (void)signal(SIGPIPE, SIG_IGN); /* these fail only for signals that do not exist */
    (void)signal(SIGHUP, SIG_IGN);
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0); /* without memory its default stands */
}

static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

void process_end_on_signal(void)
{
    (void)signal(SIGTERM, end_now);
    (void)signal(SIGINT, end_now);
}

int process_again(char *const *argv)
{
    (void)execv("/proc/self/exe", argv);
    return process_end(EXIT_FAILURE); /* whoever watches it starts it again */
}

int process_end(int exit_code)
{
    if (loop_calls_left() == 0)
        return exit_code;
    (void)fflush(stdout); /* its errors were checked where it was written */
    _exit(exit_code);     /* a return would wait for libuv's threads */
}
