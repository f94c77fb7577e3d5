/* Which items the orders are for now: a line of `top`. */
#ifndef CTL_POOL_HOT_H
#define CTL_POOL_HOT_H

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

/* Asks the database. Returns an exit code; the caller frees the table. */
MUST_CHECK int hot_read(struct ctl *ctl, struct table **ret_hot);
/* One line of at most 80 columns, the hottest first; nothing where nothing is ordered. */
void hot_print(const struct table *hot);
/* Appends the member "hot_items", with a comma before it. */
void hot_json(const struct table *hot, struct buf *out);

#endif
