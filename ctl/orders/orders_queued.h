/* What is known about an order that no consumer has decided. */
#ifndef CTL_ORDERS_ORDERS_QUEUED_H
#define CTL_ORDERS_ORDERS_QUEUED_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* Call it before any connection: reads the settings that may help, if present. With a user it needs
 * the secret of order ids: 0, or an exit code after printing the problem. */
MUST_CHECK int orders_queued_settings(struct ctl *ctl, const char *user);
/* Prints it. CTL_FINE if the order is known, else CTL_FAILED. `user` may be NULL. */
MUST_CHECK int orders_explain_queued(struct ctl *ctl, const char *id, const char *user);

#endif
