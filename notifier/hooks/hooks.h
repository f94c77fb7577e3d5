/*
 * Delivers webhooks over HTTP: gives events their rows, and is the transport of those that a
 * dispatcher claims. An event that is delivered again has the same webhook-id.
 */
#ifndef NOTIFIER_HOOKS_HOOKS_H
#define NOTIFIER_HOOKS_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/address.h"
#include "notifier/dispatch/dispatcher.h"
#include "notifier/hooks/hook_secrets.h"
#include "notifier/hooks/hook_stats.h"

struct hooks;

/* Strings and pointers outlive it. */
struct hooks_options {
    struct loop *loop;
    const char *database_url;
    struct hook_secrets *secrets;
    const struct networks *allowed; /* beside the public internet */
    bool plain_http;                /* http:// will do */
    const char *ca_file;
    uint32_t timeout_ms;
    size_t inflight; /* of one endpoint */
    int64_t give_up_ms;
    int64_t pause_after_ms;
    int64_t keep_ms; /* deliveries that ended */
    struct hook_stats *stats;
    const char *place; /* the admin address, for its heartbeat */
    bool (*ready)(void *arg, struct buf *ret_why);
    void *ready_arg;
};

/* NULL: no memory. */
struct hooks *hooks_new(const struct hooks_options *options);
/* Attempts under way end without a record: they are made again. NULL is allowed. */
void hooks_free(struct hooks *hooks);
struct dispatcher *hooks_dispatcher(const struct hooks *hooks);

#endif
