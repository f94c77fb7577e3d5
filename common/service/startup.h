/* Tries the servers of a program once, before it starts: a wrong setting is told from a server that
 * is down. */
#ifndef COMMON_SERVICE_STARTUP_H
#define COMMON_SERVICE_STARTUP_H

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/service/cfg.h"

/*
 * Connects, side by side and for three seconds at most, to each server that `cfg` has
 * the URL of. 0: each is well, or merely down (nobody listens, no answer in time). ERR_CONFIG
 * with one line in `ret_problem` that names the setting: its host has no address, its login is
 * refused, or there is no such database.
 */
MUST_CHECK int startup_check(const struct cfg *cfg, struct buf *ret_problem);

#endif
