#include "notifier/dispatch/dispatch_stats.h"

#include <stdio.h>

#define LABELS_SIZE 48

void dispatch_stats_attempts(struct dispatch_stats *stats, struct metrics *metrics,
                             struct metric *(*counter)(struct metrics *metrics, const char *labels))
{
    char labels[LABELS_SIZE];
    for (int end = 0; end < DISPATCH_ENDS; end++) {
        (void)snprintf(labels, sizeof labels, "end=\"%s\"",
                       dispatch_end_word((enum dispatch_end)end));
        stats->attempts[end] = counter(metrics, labels);
    }
}
