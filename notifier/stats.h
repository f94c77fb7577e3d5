/* The notifier's metrics, and where its spans go. */
#ifndef NOTIFIER_STATS_H
#define NOTIFIER_STATS_H

#include "common/service/metrics.h"

struct spans;

struct stats {
    struct metrics *metrics;
    struct spans *spans; /* NULL: none are made */
    struct metric *sockets;
    struct metric *users;
    struct metric *pushed;
    struct metric *push_seconds;
    struct metric *received;
    struct metric *unreadable;
    struct metric *stale;
    struct metric *replays;
    struct metric *replay_seconds;
    struct metric *places;
    struct metric *lines;
    struct metric *line_reads;
    struct metric *redis_up;
    struct metric *database_up;
};

void stats_init(struct stats *stats, struct metrics *metrics);
/* A socket ended; `why` as in ws.h. */
void stats_closed(struct stats *stats, const char *why);
/* This status answered a handshake. */
void stats_refused(struct stats *stats, unsigned status);

#endif
