/*
 * A shard's deliveries before their decision: they wait in order and become batches of jobs; a
 * batch that PostgreSQL refuses is cut until the bad job is alone. No I/O.
 */
#ifndef CONSUMER_SHARD_INTAKE_H
#define CONSUMER_SHARD_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define INTAKE_JOBS_MAX 512 /* jobs of one batch */
#define INTAKE_PARTS 8      /* a part that fails is cut into so many: three times to find one job */

struct intake_delivery;

/* An unreadable message or job, for the dead letters. */
struct intake_dead {
    char *body; /* owned */
    size_t len;
    const char *reason; /* static */
};

struct intake_batch {
    bool open;
    struct job_batch messages[SHARD_PREFETCH];
    size_t message_count;
    struct job_entry *jobs[INTAKE_JOBS_MAX];
    size_t count;
    size_t from, to;     /* the part to decide next */
    size_t until, most;  /* up to `until`: no more than `most` in a part, to find what fails */
    bool aside;          /* ... or to set aside: it is of one item, which cannot be decided */
    size_t later;        /* jobs at the end whose item failed; tried when the others are decided */
    bool others_decided; /* since an item failed */
    struct intake_dead *dead;
    size_t dead_count;
    uint64_t last_tag; /* acknowledging it acknowledges the whole batch */
};

struct intake {
    uint32_t shard;
    uint32_t shards;
    struct ids *ids; /* not owned */
    struct intake_delivery *head;
    struct intake_delivery *tail;
    size_t waiting;
    bool unproved; /* an item was set aside with no other to compare, and none was decided since */
    struct intake_batch batch;
};

void intake_init(struct intake *intake, uint32_t shard, uint32_t shards, struct ids *ids);
/* Forgets deliveries and batch, as when the channel is closed. */
void intake_forget(struct intake *intake);

/* Copies a message with delivery tag `tag`; `size` is its whole size if `body` is cut. */
MUST_CHECK int intake_push(struct intake *intake, uint64_t tag, const void *body, size_t len,
                           uint64_t size);
/* Whether there is a batch, or something to cut one from. */
bool intake_has_work(const struct intake *intake);

/* Cuts the next batch if none is open. 0, ERR_NOT_FOUND (nothing waits), or ERR_NOMEM: then close
 * the channel and intake_forget, so that the broker delivers all of it again. */
MUST_CHECK int intake_open_batch(struct intake *intake);
/* Jobs to decide now: batch.jobs[from .. to-1]; none if from == count. */
bool intake_decided_all(const struct intake *intake);
/* The part [from, to) is decided. */
void intake_part_decided(struct intake *intake);
/* PostgreSQL refuses something in the part: cut it. A single job becomes invalid, and if
 * PostgreSQL refuses even that, a dead letter. */
MUST_CHECK int intake_part_refused(struct intake *intake);
/* It cannot be decided for a lock or a deadlock: cut it. One of a single item is set aside. */
void intake_part_busy(struct intake *intake);
/*
 * It fails for another reason, or takes too long: cut it. A single item goes behind the others, and
 * is set aside if it fails again after another one was decided. Returns false if nothing was
 * decided between two that fail: the reason is no item's.
 */
bool intake_part_failed(struct intake *intake);
/*
 * Before intake_part_failed: an item that fails alone in its batch must not hold up what waits
 * behind it. Takes further deliveries into the batch; where none fits, an item that fails again is
 * to be set aside now, but no second one before another item is decided. 0 or ERR_NOMEM, as
 * intake_open_batch.
 */
MUST_CHECK int intake_widen(struct intake *intake);
/* All is decided or dead: frees the batch and returns the tag to acknowledge, with all before
 * it. */
uint64_t intake_close_batch(struct intake *intake);

#endif
