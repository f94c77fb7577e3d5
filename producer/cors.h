/* Which web pages may call us (CORS). Pure. */
#ifndef PRODUCER_CORS_H
#define PRODUCER_CORS_H

#include <stdbool.h>

#include "common/base/attrs.h"

struct cors;

/* `origins`: separated by commas; "*": every one; "": none. NULL: no memory. */
struct cors *cors_new(const char *origins);
void cors_free(struct cors *cors); /* NULL is allowed */

/* `origin`: the header, or NULL if absent. */
bool cors_allows(const struct cors *cors, const char *origin);

#endif
