/*
 * The sandbox's webhooks: each event goes to the shop by a signed POST, as Stripe does it, and
 * again with backoff until it is answered with 2xx. Settings make them come too early, late, twice,
 * out of order or never. What is not delivered when the sandbox ends is lost.
 */
#ifndef DEPLOY_SANDBOX_WEBHOOK_H
#define DEPLOY_SANDBOX_WEBHOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "deploy/sandbox/fault.h"

struct webhooks;

/* `url` and `secret` must outlive it. NULL: no memory. */
struct webhooks *webhooks_new(struct loop *loop, const char *url, const char *secret);
/* Forgets what is not delivered. NULL is allowed. */
void webhooks_free(struct webhooks *hooks);
struct webhook_event {
    const char *type;    /* payment_intent.succeeded */
    const char *version; /* of the API */
    bool live;
    const char *object; /* JSON */
};

/* Sends the event. NULL hooks: to no address. */
void webhooks_tell(struct webhooks *hooks, enum fault_webhooks when,
                   const struct webhook_event *event);

#endif
