/*
 * Payments that ended without money are looked at again, some time later: whether it was taken
 * after all. Each capture of the order in the gateway's list is reported as OUTCOME_LATE, and then
 * OUTCOME_LOOKED.
 */
#ifndef CONSUMER_WATCH_LATE_H
#define CONSUMER_WATCH_LATE_H

#include "consumer/gateway/gateway.h"
#include "consumer/money/outcome.h"
#include "consumer/money/reconcile.h"
#include "consumer/task.h"

#define LATE_MAX 512 /* looks at once; further ones wait in their table */

struct late;

/* What it is given must outlive it. NULL: no memory. */
struct late *late_new(struct reconcile *reconcile, const struct gateway *gateway,
                      outcome_cb outcome, void *arg);
/* NULL is allowed. */
void late_free(struct late *late);
/* A task RECONCILE. One that finds no place, or no gateway, comes again with the sweep. */
void late_look(struct late *late, const struct task *task);

#endif
