/*
 * The API's two sessions with PostgreSQL: what only reads, and what commits. A commit may wait for
 * a replica without end, and no query behind it in its session is answered meanwhile; so a buyer's
 * cancel delays no other buyer's status.
 */
#ifndef PRODUCER_SESSIONS_H
#define PRODUCER_SESSIONS_H

#include <stdbool.h>

#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "producer/stats.h"

struct sessions {
    struct pg_cluster *cluster;
    struct pg *reads;
    struct pg *writes;
    struct stats *stats;
    struct loop_timer *later; /* runs: the session for commits has a while yet to come back */
    void (*reads_connected)(void *arg);
    void *arg;
};

struct sessions_options {
    const char *url;
    struct stats *stats;                /* outlives the sessions */
    void (*reads_connected)(void *arg); /* each time that what reads is connected */
    void *arg;
};

/* Starts connecting. False: no memory; sessions_close is allowed after either. */
bool sessions_open(struct sessions *sessions, struct loop *loop,
                   const struct sessions_options *options);
/* Pending answers are lost. Zeroed ones are allowed. */
void sessions_close(struct sessions *sessions);

#endif
