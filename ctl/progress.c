#include "ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"

#define REDRAW_MS 100

void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total)
{
    uint64_t now = clock_mono_ms();
    bool due = !progress->shown || done == total || now - progress->last_ms >= REDRAW_MS;
    if (!due || isatty(STDERR_FILENO) != 1)
        return;
    progress->shown = true;
    progress->last_ms = now;
    if (total == 0)
        (void)fprintf(stderr, "\r\033[K%s ...", what);
    else
        (void)fprintf(stderr, "\r\033[K%s %llu of %llu", what, (unsigned long long)done,
                      (unsigned long long)total);
    (void)fflush(stderr); /* a failure only hides it */
}

void progress_end(struct progress *progress)
{
    if (!progress->shown)
        return;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    progress->shown = false;
}
