/*
 * What has ended at the gateway and waits to be recorded: the first ones go into a transaction
 * together; if the database refuses a text that the gateway sent, they go one by one, and that one
 * goes without its texts. Pure.
 */
#ifndef CONSUMER_MONEY_OUTCOMES_H
#define CONSUMER_MONEY_OUTCOMES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "consumer/shard/orders_db.h"

#define OUTCOMES_MAX 512 /* of one transaction */

struct outcomes {                       /* zeroed at first */
    struct orders_db_settlement *items; /* own strings; the first `running` are in flight */
    size_t count;
    size_t capacity;
    size_t running;
    bool one_by_one; /* after a refusal, until one has passed */
};

/* Strings but `state` (static) are copied; "" is none. 0 or ERR_NOMEM. */
MUST_CHECK int outcomes_add(struct outcomes *endings, const char *order_id, int64_t attempt,
                            const char *state, const char *ref, int64_t amount, const char *code);
/* How many of the first ones to send now. */
size_t outcomes_begin(struct outcomes *endings);
/* Those sent are recorded. */
void outcomes_recorded(struct outcomes *endings);
/* They are not, and go again. */
void outcomes_again(struct outcomes *endings);
/* They were refused for a value among them. */
void outcomes_refused(struct outcomes *endings);
/* Forgets all; those in flight may still be answered. */
void outcomes_forget(struct outcomes *endings);
void outcomes_free(struct outcomes *endings);

#endif
