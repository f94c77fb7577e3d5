/* Where a program's spans go, as its settings say. */
#ifndef COMMON_SERVICE_SPAN_SETTINGS_H
#define COMMON_SERVICE_SPAN_SETTINGS_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/service/cfg.h"
#include "common/service/metrics.h"
#include "common/service/spans.h"

/* 0, with NULL if the settings want none; or ERR_NOMEM. */
MUST_CHECK int spans_open(struct loop *loop, struct metrics *metrics, const struct cfg *cfg,
                          const char *program, struct spans **ret_spans);
/* Sends what waits, for a second at most: nothing else may use the loop any more. NULL is allowed.
 */
void spans_close(struct spans *spans);

#endif
