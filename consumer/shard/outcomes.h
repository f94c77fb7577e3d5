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

struct outcomes {          /* zeroed at first */
    struct outcome *items; /* the first `running` are in flight; strings are ours */
    size_t count;
    size_t capacity;
    size_t running;
    bool one_by_one; /* after a refusal, until one has passed */
    size_t most;     /* of the next transaction after a lock; 0: OUTCOMES_BATCH */
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
/* A lock or a timeout: fewer of them next. A single one is dropped: its row stays
 * open, so the sweep finds it again. */
void outcomes_busy(struct outcomes *outcomes);
/* Forgets all; those in flight may still be answered. */
void outcomes_forget(struct outcomes *outcomes);
void outcomes_free(struct outcomes *outcomes);

#endif
