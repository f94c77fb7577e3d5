/* What POST /_control can ask for besides settings: what somebody does at the dashboard. */
#ifndef DEPLOY_SANDBOX_DASHBOARD_H
#define DEPLOY_SANDBOX_DASHBOARD_H

#include <jansson.h>

#include "common/base/attrs.h"
#include "deploy/sandbox/gateway_impl.h"

/* Whether the body asks for an action of the dashboard; then the request is answered, or will be.
 */
MUST_CHECK bool dashboard_act(struct gateway *gateway, struct http_request *request,
                              const json_t *body);

#endif
