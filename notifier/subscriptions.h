/*
 * From Redis to the sockets: subscribes to the channels of connected buyers only, and passes their
 * events on. After a gap in the stream it asks the database.
 */
#ifndef NOTIFIER_SUBSCRIPTIONS_H
#define NOTIFIER_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"
#include "notifier/registry.h"
#include "notifier/replay.h"
#include "notifier/session.h"
#include "notifier/stats.h"

struct subscriptions;

/* NULL: no memory, or the URL is wrong (logged). */
struct subscriptions *subscriptions_new(struct loop *loop, const struct redis_server *server,
                                        struct registry *registry, struct replay *replay,
                                        struct stats *stats);
void subscriptions_free(struct subscriptions *subscriptions); /* NULL is allowed */
bool subscriptions_ready(const struct subscriptions *subscriptions);

/* What comes of lines goes to `heard`, once it is set. */
typedef void (*subscriptions_line_cb)(const char *sku, size_t sku_len, const char *text, size_t len,
                                      void *arg);
void subscriptions_on_line(struct subscriptions *subscriptions, subscriptions_line_cb heard,
                           void *arg);
/* The line of an item is listened to, or not any more. 0, ERR_FULL or ERR_NOMEM. */
MUST_CHECK int subscriptions_listen_line(struct subscriptions *subscriptions, const char *sku);
void subscriptions_unlisten_line(struct subscriptions *subscriptions, const char *sku);

/* A session has joined the registry, as its user's `first` or not; it requests the session's replay
 * when the subscription is active. ERR_FULL, ERR_NOMEM: events of this user would not come. */
MUST_CHECK int subscriptions_listen(struct subscriptions *subscriptions, struct session *session,
                                    bool first);
/* The last session of this user has left. */
void subscriptions_unlisten(struct subscriptions *subscriptions, const char *user);

#endif
