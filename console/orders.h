/* Orders, as the shop sees them. */
#ifndef CONSOLE_ORDERS_H
#define CONSOLE_ORDERS_H

#include "console/call.h"

void orders_list(struct call *call);
void orders_get(struct call *call);

#endif
