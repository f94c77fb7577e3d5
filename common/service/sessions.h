/*
 * Two sessions of a daemon with PostgreSQL: what only reads, and what commits. A commit may wait
 * for a replica without end, and no query behind it in its session is answered meanwhile; so a
 * change delays nothing that is only read.
 */
#ifndef COMMON_SERVICE_SESSIONS_H
#define COMMON_SERVICE_SESSIONS_H

#include <stdbool.h>

#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/service/metrics.h"

#define SESSIONS_NAME_SIZE 64
#define SESSIONS_WHY_SIZE 256

struct sessions_options {
    const char *url;
    const char *program;                /* checkout-producer; static */
    const char *without_reads;          /* what a log line says of their loss; static */
    const char *without_writes;         /* likewise */
    struct metric *up;                  /* 1 while both are connected */
    void (*reads_connected)(void *arg); /* each time that what reads is connected; NULL: no call */
    void *arg;
};

struct sessions {
    struct pg_cluster *cluster;
    struct pg *reads;
    struct pg *writes;
    struct loop_timer *later; /* runs: the session for commits has a while yet to come back */
    struct sessions_options options;
    char names[2][SESSIONS_NAME_SIZE];
    char behind[SESSIONS_WHY_SIZE]; /* the database is not the shop's newest, and why; "": it is, or
                                     * that is not known */
};

/* Starts connecting. False: no memory; sessions_close is allowed after either. */
bool sessions_open(struct sessions *sessions, struct loop *loop,
                   const struct sessions_options *options);
/* Pending answers are lost. Zeroed ones are allowed. */
void sessions_close(struct sessions *sessions);

#endif
