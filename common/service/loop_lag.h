/* How late timers run: the time that the loop is busy and serves nothing else.
 * checkout_loop_lag_seconds, ten samples a second. */
#ifndef COMMON_SERVICE_LOOP_LAG_H
#define COMMON_SERVICE_LOOP_LAG_H

#include "common/base/loop.h"
#include "common/service/metrics.h"

struct loop_lag;

/* Samples from now on; both must outlive it. NULL: no memory. */
struct loop_lag *loop_lag_new(struct loop *loop, struct metrics *metrics);
void loop_lag_free(struct loop_lag *lag); /* NULL is allowed */

#endif
