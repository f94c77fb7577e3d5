/*
 * Asks PostgreSQL every 2 s whether events wait to be published, because a consumer does not reach
 * Redis or none serves the shard: then the stream is silent though it stands. The question also
 * shows that the database answers at all.
 */
#ifndef NOTIFIER_LAG_H
#define NOTIFIER_LAG_H

#include <stdbool.h>

#include "common/base/loop.h"
#include "common/net/pg/pg.h"

struct lag;

/* Uses `pg`, which must outlive it. `changed` comes when the answer changes, at first from
 * false; where the database cannot say, the last answer stays. NULL: no memory. */
struct lag *lag_new(struct loop *loop, struct pg *pg, void (*changed)(bool lagging, void *arg),
                    void *arg);
/* No callback comes after this. NULL is allowed. */
void lag_free(struct lag *lag);

#endif
