/*
 * What came of payments and refunds, and waits to be recorded: the first ones go into a transaction
 * together; if the database refuses a text that the gateway sent, they go one by one, and that one
 * goes without its texts. Pure.
 */
#ifndef CONSUMER_SHARD_OUTCOMES_H
#define CONSUMER_SHARD_OUTCOMES_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "consumer/money/outcome.h"

#define OUTCOMES_BATCH 512 /* of one transaction */
#define OUTCOMES_PARTS 8   /* one that fails is cut into so many */

struct outcomes {          /* zeroed at first */
    struct outcome *items; /* the first `running` are in flight; strings are ours */
    size_t count;
    size_t capacity;
    size_t running;
    struct outcome *held; /* something of theirs is locked: they go again later */
    size_t held_count;
    size_t held_capacity;
    bool one_by_one; /* after a refusal, until one has passed */
    size_t suspects; /* a lock or a timeout is among so many first ones ... */
    size_t most;     /* ... and no more than these go together, to find it */
};

/* Copies it. 0; or ERR_NOMEM, and it is not added. */
MUST_CHECK int outcomes_add(struct outcomes *outcomes, const struct outcome *outcome);
/* How many of the first ones to send now. */
size_t outcomes_begin(struct outcomes *outcomes);
/* Those sent are recorded. */
void outcomes_recorded(struct outcomes *outcomes);
/* They are not, and go again. */
void outcomes_again(struct outcomes *outcomes);
/* They were refused for a value among them. */
void outcomes_refused(struct outcomes *outcomes);
/* Those in flight of this attempt are not recorded with the others: they are held. */
void outcomes_hold(struct outcomes *outcomes, const char *order_id, int64_t attempt);
/* Those that are held go again, behind the others. */
void outcomes_release(struct outcomes *outcomes);
/* Whether one of this order waits or is held. */
bool outcomes_have(const struct outcomes *outcomes, const char *order_id);
/* A lock or a timeout: fewer of them next. A single one is held. */
void outcomes_busy(struct outcomes *outcomes);
/* Forgets all; those in flight may still be answered. */
void outcomes_forget(struct outcomes *outcomes);
void outcomes_free(struct outcomes *outcomes);

#endif
