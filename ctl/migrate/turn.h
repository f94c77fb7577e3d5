/* One migrate at a time. */
#ifndef CTL_MIGRATE_TURN_H
#define CTL_MIGRATE_TURN_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* Waits until no other migrate is at work, for 10 minutes at most (one that was killed may leave
 * its session behind), and names the one that is. The turn is ours until our session ends. An exit
 * code, after printing the problem. */
MUST_CHECK int turn_await(struct ctl *ctl);

#endif
