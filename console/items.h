/* Items, as the shop sees them. */
#ifndef CONSOLE_ITEMS_H
#define CONSOLE_ITEMS_H

#include "console/call.h"

void items_list(struct call *call);
void items_get(struct call *call);

#endif
