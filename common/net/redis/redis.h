/* Redis (hiredis async): commands, publishing, and a connection of its own for subscriptions. */
#ifndef COMMON_NET_REDIS_REDIS_H
#define COMMON_NET_REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"

struct kv;

enum kv_type { KV_LOST, KV_NIL, KV_STRING, KV_INTEGER, KV_ERROR, KV_ARRAY };

struct kv_reply {
    enum kv_type type; /* KV_LOST: the connection went before the answer */
    const char *str;   /* KV_STRING, KV_ERROR; not NUL-safe: use len */
    size_t len;
    int64_t integer;
    const struct kv_reply *items; /* KV_ARRAY */
    size_t count;
};

typedef void (*kv_reply_cb)(const struct kv_reply *reply, void *arg);
/* up: connected, authenticated, database selected. `reason` when down, else NULL. */
typedef void (*kv_state_cb)(bool up, const char *reason, void *arg);

/*
 * Connects to redis://[user][:password]@host:port/db and keeps connected: backoff 50 ms to 2 s, a
 * connection that does not answer a PING within 2 s is given up. `state` may be NULL.
 * `pending_max`: commands without an answer; more give ERR_FULL.
 */
struct kv *kv_open(struct loop *loop, const char *url, size_t pending_max, kv_state_cb state,
                   void *arg);
/* Pending callbacks get KV_LOST. NULL is allowed. */
void kv_close(struct kv *kv);
bool kv_is_up(const struct kv *kv);

/* What the last try to connect met, while down: 0 (none has ended yet), ERR_UNAVAILABLE (nobody
 * answers, or not now), or what will not mend by itself: ERR_NOT_FOUND (the host has no address),
 * ERR_AUTH (the login or the database is refused). */
int kv_fault(const struct kv *kv);

/* Sends one command; `cb` may be NULL, else it comes exactly once. ERR_UNAVAILABLE while down (then
 * no callback), ERR_FULL. */
MUST_CHECK int kv_command(struct kv *kv, size_t argc, const char *const *argv,
                          const size_t *argv_len, kv_reply_cb cb, void *arg);

struct kv_subscriber;
typedef void (*kv_message_cb)(const char *channel, size_t channel_len, const char *message,
                              size_t message_len, void *arg);
/* `subscribed` comes each time Redis has acknowledged a channel, also again after a reconnect, when
 * messages may have been missed. */
typedef void (*kv_subscribed_cb)(const char *channel, size_t channel_len, void *arg);

/* A connection for subscriptions only; after a reconnect it subscribes to all its channels again.
 */
struct kv_subscriber *kv_subscriber_open(struct loop *loop, const char *url, kv_message_cb message,
                                         kv_subscribed_cb subscribed, kv_state_cb state, void *arg);
void kv_subscriber_close(struct kv_subscriber *subscriber);
/* Remembers the channel, and subscribes now or when connected. Twice the same is once. */
MUST_CHECK int kv_subscribe(struct kv_subscriber *subscriber, const char *channel);
void kv_unsubscribe(struct kv_subscriber *subscriber, const char *channel);

#endif
