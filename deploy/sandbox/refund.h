/* GET /v1/refunds: which refunds there are, all or of one payment intent. */
#ifndef DEPLOY_SANDBOX_REFUND_H
#define DEPLOY_SANDBOX_REFUND_H

#include "deploy/sandbox/gateway_impl.h"

/* Answers `request`: newest first, up to limit=, behind starting_after=, of payment_intent=. */
void refund_list(struct gateway *gateway, struct http_request *request);

#endif
