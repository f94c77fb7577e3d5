/* Requests that change something: recorded once for each key, executed by the owner of the item's
 * shard. */
#ifndef CONSOLE_CHANGES_H
#define CONSOLE_CHANGES_H

#include "console/call.h"

/* Answers now or later. */
void changes_ask(struct call *call, enum change_kind kind);
/* GET /v1/shop/commands/{id} */
void changes_get(struct call *call);

#endif
