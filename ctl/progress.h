/* One line on a terminal's stderr with the progress of long work. Nothing without a terminal. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct progress {
    bool shown;
    uint64_t last_ms;
};

/* `total` 0: unknown, only `what` is shown. Redrawn ten times a second at most. */
void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total);
/* Wipes the line. */
void progress_end(struct progress *progress);

#endif
