/* What happens to an object by itself: a debit or a refund ends, a charge is disputed. */
#ifndef DEPLOY_SANDBOX_HAPPEN_H
#define DEPLOY_SANDBOX_HAPPEN_H

#include "deploy/sandbox/gateway_impl.h"

/* A later_cb. */
void happen(struct gateway *gateway, bool refund, uint64_t number);

#endif
