/* The events of webhooks: which of them a record means, and what they carry. */
#ifndef DEPLOY_SANDBOX_EVENT_H
#define DEPLOY_SANDBOX_EVENT_H

#include "deploy/sandbox/gateway_impl.h"

/* Tells the shop what has happened. */
void event_tell(struct gateway *gateway, const struct record *record);

#endif
