/* The number of shards in service, for commands. */
#ifndef CTL_SERVING_H
#define CTL_SERVING_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* Reads it; 0: none are in service. PostgreSQL is met. An exit code after printing the problem. */
MUST_CHECK int serving_read(struct ctl *ctl, uint32_t *ret_shards);
/* The same for a command that needs shards: none in service are a problem. */
MUST_CHECK int serving_need(struct ctl *ctl, uint32_t *ret_shards);

#endif
