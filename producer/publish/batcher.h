/*
 * Group commit of the API: which jobs leave together, and when. Pure: time and the broker's answers
 * come in from outside.
 *
 * At most `inflight_max` messages are unconfirmed, at most one of them per shard. Jobs that arrive
 * meanwhile gather per shard and leave as one message. Messages leave in waves: while at most
 * four are unconfirmed, all that are gathered leave together, and the broker's disk syncs once for
 * them; after BATCHER_WAVE_MS they leave nevertheless. A job that
 * comes while the broker is idle leaves at once. A message overdue by BATCHER_OVERDUE_MS no longer
 * counts: only its own shard stands still until it is settled.
 *
 * It is crowded while the broker is slow (the oldest job has waited for BATCHER_SLOW_MS, or it was
 * crowded in the last BATCHER_OF_LATE_MS) and a further job would wait for more than
 * BATCHER_WAIT_MS: as many jobs as there are, at the rate at which they have been confirmed of late
 * (confirm_rate.h).
 */
#ifndef PRODUCER_BATCHER_H
#define PRODUCER_BATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/shop/job.h"

#define BATCHER_WAVE_MS 20 /* a wave waits for the last one's confirms no longer */
#define BATCHER_OVERDUE_MS 1000
#define BATCHER_UNKNOWN_MS 5000 /* no confirm for so long: its jobs are answered "unknown" */
#define BATCHER_SILENT_MS 10000 /* no answer about a message for so long: none will come */
#define BATCHER_GATHER_MS 2000  /* longest time a job waits for its message to leave */
#define BATCHER_SLOW_MS 50
#define BATCHER_WAIT_MS 120
#define BATCHER_OF_LATE_MS 500
#define BATCHER_FEW_JOBS JOB_BATCH_MAX /* fewer never crowd it: one message can carry them */

enum batch_fate {
    BATCH_CONFIRMED,
    BATCH_REFUSED,     /* the broker refused it: certainly not accepted */
    BATCH_UNKNOWN,     /* perhaps accepted: no confirm in time, or the connection ended first */
    BATCH_UNAVAILABLE, /* never left: the broker is away */
    BATCH_OVERLOADED,  /* never left: its turn did not come in time */
};

/* A message that is gathered or on its way. Read only. */
struct batch {
    uint32_t shard;
    struct buf body;
    size_t count;
    void *waiters[JOB_BATCH_MAX];
    uint64_t since_ms; /* first job; once sent: sent */
    uint64_t begun_ms; /* first job */
    uint64_t sequence; /* once sent */
    bool sealed;       /* its body is complete */
    bool overdue;
    struct batch *next;
};

/* The outcome of one waiter's job. May not call the batcher. */
typedef void (*batcher_fate_cb)(void *waiter, enum batch_fate fate, void *arg);

struct batcher;

/* Holds up to `jobs_max` jobs. NULL: no memory. */
struct batcher *batcher_new(uint32_t shards, unsigned inflight_max, size_t jobs_max,
                            batcher_fate_cb fate, void *arg);
/* Forgets the waiters without a callback. NULL is allowed. */
void batcher_free(struct batcher *batcher);

/*
 * Gathers a job; encodes it at once and keeps nothing of it. ERR_FULL: jobs_max is reached;
 * ERR_UNAVAILABLE: the shard stands still; ERR_NOMEM. Then no callback comes.
 */
MUST_CHECK int batcher_add(struct batcher *batcher, uint32_t shard, const struct job *job,
                           void *waiter, uint64_t now_ms);

/* Whether a further job would wait too long, so that its sender should hear that at once. */
bool batcher_crowded(struct batcher *batcher, uint64_t now_ms);

/* The message that should leave now, or NULL, which ends the wave. Call batcher_sent when it has
 * left. */
struct batch *batcher_next(struct batcher *batcher, uint64_t now_ms);
void batcher_sent(struct batcher *batcher, struct batch *batch, uint64_t sequence, uint64_t now_ms);

/* The broker's answer (BATCH_CONFIRMED or BATCH_REFUSED) on message `sequence`. */
void batcher_settle(struct batcher *batcher, uint64_t sequence, enum batch_fate fate);
/* The channel is gone: what was sent is unknown, what was gathered never leaves. */
void batcher_lost(struct batcher *batcher);
/* Ends what was gathered, unsent: the broker takes nothing at present. */
void batcher_refuse(struct batcher *batcher);
/* Call it a few times a second. */
void batcher_tick(struct batcher *batcher, uint64_t now_ms);
/* Whether the broker has not answered a message for BATCHER_SILENT_MS; of which shard. Its jobs
 * have been answered "unknown". */
bool batcher_silent(const struct batcher *batcher, uint64_t now_ms, uint32_t *ret_shard);
/* Stops waiting for an answer about the shard's message: the shard goes on. */
void batcher_forget(struct batcher *batcher, uint32_t shard);

/* Jobs without an outcome yet, and messages that count as unconfirmed. */
size_t batcher_jobs(const struct batcher *batcher);
unsigned batcher_inflight(const struct batcher *batcher);
/* Messages that are overdue. */
unsigned batcher_overdue(const struct batcher *batcher);

#endif
