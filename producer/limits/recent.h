/*
 * Names with a number each, of which only the latest used are kept: a bounded memory. The name that
 * was not used for the longest time makes room for a new one.
 */
#ifndef PRODUCER_LIMITS_RECENT_H
#define PRODUCER_LIMITS_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

struct recent;

/* Keeps up to `max` names. NULL: no memory. */
struct recent *recent_new(size_t max);
void recent_free(struct recent *recent); /* NULL is allowed */

/* The number of a name, and it counts as used; NULL: it is not kept. Valid until the next call. */
int64_t *recent_find(struct recent *recent, const char *name);
/* The same; a name that is not kept is added with 0. NULL: no memory. */
int64_t *recent_use(struct recent *recent, const char *name);
void recent_remove(struct recent *recent, const char *name);

#endif
