/* The heartbeat of a daemon that is no consumer: a row of checkout.daemons every 2 s, by which
 * operators and alarms see that it lives. */
#ifndef COMMON_SERVICE_HEARTBEAT_H
#define COMMON_SERVICE_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/service/metrics.h"

struct heartbeat;

struct heartbeat_options {
    const char *place;             /* the admin address, "host:port" */
    const char *program;           /* "producer"; static */
    const struct metric *accepted; /* shown with it; NULL: it has none */
    const struct metric *sockets;
    uint32_t shards_set;                /* CHECKOUT_SHARDS; 0: not set */
    int64_t (*dead_letters)(void *arg); /* how many there are, -1: not known; NULL: never known */
    bool (*ready)(void *arg, struct buf *ret_why); /* as in daemon_program */
    void *arg;
};

/* Sends heartbeats through `pg` from now on, which must outlive it. NULL: no memory. */
struct heartbeat *heartbeat_new(struct loop *loop, struct pg *pg,
                                const struct heartbeat_options *options);
/* The process leaves: takes its row away and sends no more. */
void heartbeat_leave(struct heartbeat *heartbeat);
void heartbeat_free(struct heartbeat *heartbeat); /* NULL is allowed */

#endif
