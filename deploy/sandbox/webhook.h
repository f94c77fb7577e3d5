/*
 * The sandbox's webhooks: each change of an intent is told to the shop by a signed POST, as Stripe
 * does it, and again with backoff until it is answered with 2xx. They can be told to come too
 * early, late, twice, out of order or never.
 */
#ifndef DEPLOY_SANDBOX_WEBHOOK_H
#define DEPLOY_SANDBOX_WEBHOOK_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "deploy/sandbox/fault.h"
#include "deploy/sandbox/record.h"

struct webhooks;

/* `url` and `secret` must outlive it. NULL: no memory. */
struct webhooks *webhooks_new(struct loop *loop, const char *url, const char *secret);
/* What has not been told is forgotten. NULL is allowed. */
void webhooks_free(struct webhooks *hooks);
/* Tells what the intent is now. NULL hooks: nobody is told. */
void webhooks_tell(struct webhooks *hooks, enum fault_webhooks when, const struct intent *intent,
                   uint32_t salt);

#endif
