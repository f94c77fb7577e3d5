/*
 * The state of a shard's writer, and its transactions: which of them have work, and sending one.
 */
#ifndef CONSUMER_SHARD_SHARD_WORK_H
#define CONSUMER_SHARD_SHARD_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/clock.h"
#include "common/base/loop.h"
#include "consumer/shard/aside.h"
#include "consumer/shard/intake.h"
#include "consumer/shard/orders_db.h"
#include "consumer/shard/outcomes.h"
#include "consumer/shard/patience.h"
#include "consumer/shard/sku_list.h"
#include "consumer/stats.h"
#include "consumer/task.h"

#define SHARD_WRITER_CHUNK 500   /* orders of a waitlist settled in one transaction */
#define SHARD_WRITER_COMMANDS 64 /* commands of one transaction */
#define SHARD_WRITER_KIND_SIZE 32
#define SHARD_WRITER_WHY_SIZE 192

struct shard_writer_events {
    void (*fenced)(void *arg);                       /* the epoch is over */
    void (*committed)(void *arg);                    /* there may be events to relay */
    void (*pay)(const struct task *task, void *arg); /* a task about a payment */
    /* A committed transaction has a task that this version does not know: release the shard. */
    void (*unknown_task)(const char *kind, void *arg);
    void (*item_changed)(const char *sku, void *arg); /* by an operator's command, or a refund */
    void (*batch_decided)(void *arg);                 /* all jobs of intake.batch are decided */
    void (*failed)(const char *why, void *arg); /* out of memory: reset, reopening the channel */
};

enum shard_writer_work {
    SHARD_WRITER_NOTHING,
    SHARD_WRITER_SETTLE,
    SHARD_WRITER_REFUND,
    SHARD_WRITER_DECIDE,
    SHARD_WRITER_COMMAND,
    SHARD_WRITER_WAITLIST,
    SHARD_WRITER_CLOCK,
    SHARD_WRITER_EXPIRE,
    SHARD_WRITER_ASIDE
};
#define SHARD_WRITER_KINDS (SHARD_WRITER_ASIDE + 1)
#define SHARD_WRITER_CUTS 3 /* 500 rows to one, by 8 */

struct shard_writer {
    struct orders_db_place place; /* epoch 0: closed, nothing is written */
    int64_t wait_ms;
    struct intake *intake; /* the shard's */
    struct stats *stats;
    const struct shard_writer_events *events;
    void *arg;

    enum shard_writer_work running; /* the transaction in flight */
    int64_t running_epoch;
    enum shard_writer_work last;
    uint64_t started_us;
    uint64_t stalled_since_ms; /* monotonic: work and no commit since then; 0: no work */
    bool batch_reported;       /* batch_decided was called for this batch */
    bool taking;               /* takes jobs; false while the shard is being released */
    bool command_due;
    const char *stopped;                       /* why payments stop (static); NULL: they go on */
    bool clock_due;                            /* ... and the shard's clock may not know it yet */
    char unknown_task[SHARD_WRITER_KIND_SIZE]; /* its kind, until that is reported; "": none */
    uint64_t unknown_news_ms;                  /* when that was logged; 0: never */
    struct loop_timer *retry;
    struct loop_timer *held; /* outcomes whose rows are locked go again */

    struct outcomes payments;
    struct outcomes refunds;   /* and late looks */
    struct sku_list waitlists; /* with more to settle */
    struct sku_list expired;   /* with orders that waited too long */
    size_t expiring;           /* so many of these are in flight */
    struct aside aside;

    struct patience patience;
    unsigned cuts[SHARD_WRITER_KINDS]; /* how often the rows of a transaction were cut by 8 */
    unsigned passed;                   /* commands that are passed over: one of them hangs alone */
    uint64_t passed_until_ms;
    bool failing;                    /* nothing was committed since the last refusal ... */
    char why[SHARD_WRITER_WHY_SIZE]; /* ... which was this: SQLSTATE and message, for people */
    uint64_t logged_ms;              /* when a refusal was logged; 0: never */
    unsigned unlogged;               /* refusals since then */
};

/* Whether there is work of this kind. */
bool shard_work_waits(const struct shard_writer *writer, enum shard_writer_work work);
/* Sends the next transaction of this kind. 0, or as orders_db_decide: nothing was sent. */
MUST_CHECK int shard_work_start(struct shard_writer *writer, enum shard_writer_work work,
                                pg_result_cb answered);

#endif
