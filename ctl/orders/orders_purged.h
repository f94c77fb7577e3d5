/* What is left of an order that was purged. */
#ifndef CTL_ORDERS_ORDERS_PURGED_H
#define CTL_ORDERS_ORDERS_PURGED_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* Prints its end, if it is a purged one; `ret_purged` says whether. 0, or CTL_FAILED after printing
 * the problem. Needs the database. */
MUST_CHECK int orders_purged_print(struct ctl *ctl, const char *id, bool *ret_purged);
/* The same without a word. */
MUST_CHECK int orders_purged_find(struct ctl *ctl, const char *id, bool *ret_purged);

#endif
