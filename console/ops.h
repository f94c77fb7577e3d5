/* How the shop stands, for the operators' page: one query for all that ask, now and then one more
 * for the last hour. */
#ifndef CONSOLE_OPS_H
#define CONSOLE_OPS_H

#include "console/call.h"

struct ops *ops_new(struct console *console); /* NULL: no memory */
/* Begins to keep how the sale goes, by the console's sessions, which must be open. */
void ops_begin(struct ops *ops);
/* Answers those that wait. NULL is allowed; close the sessions before. */
void ops_free(struct ops *ops);

/* GET /v1/ops/overview: not older than a second, or than what it costs PostgreSQL, twenty times. */
void ops_overview(struct call *call);
/* GET /v1/ops/history: a point for each 10 s of the last hour, as PostgreSQL keeps them; empty
 * until the first one is kept. */
void ops_history(struct call *call);

#endif
