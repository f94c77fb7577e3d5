/* What can be told of an order that has not come to the counter. */
#ifndef CTL_ORDERS_ORDERS_QUEUED_H
#define CTL_ORDERS_ORDERS_QUEUED_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"

/* Before anything is connected: reads the settings that may help, if they are there. With a user
 * the secret of order ids is needed: 0, or an exit code and the complaint is printed. */
MUST_CHECK int orders_queued_settings(struct ctl *ctl, const char *user);
/* Prints it. CTL_FINE if somebody knows the order, else CTL_FAILED. `user` may be NULL. */
MUST_CHECK int orders_explain_queued(struct ctl *ctl, const char *id, const char *user);

#endif
