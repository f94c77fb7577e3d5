/* Redis (hiredis async): commands, publishing, and a connection of its own for subscriptions. */
#ifndef COMMON_NET_REDIS_REDIS_H
#define COMMON_NET_REDIS_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis_reply.h"
#include "common/net/redis/redis_server.h"

/*
 * Connects to a server and stays connected: backoff 50 ms to 2 s. It ends a connection that does
 * not answer a PING within 2 s, or that leads to a replica (a demoted master keeps its clients,
 * refuses their writes, and its PUBLISH reaches no subscriber). It logs error replies, once in 10 s
 * with their number. `state` may be NULL. `pending_max`: commands without an answer; more give
 * ERR_FULL.
 */
struct redis *redis_open(struct loop *loop, const struct redis_server *server, size_t pending_max,
                         redis_state_cb state, void *arg);
/* Pending callbacks get REDIS_LOST. NULL is allowed. */
void redis_close(struct redis *redis);
bool redis_is_up(const struct redis *redis);

/* The result of the last try to connect, while down: 0 (none has ended yet), ERR_UNAVAILABLE (no
 * answer, or not now), or an error that stays until a person acts: ERR_NOT_FOUND (the host has no
 * address), ERR_AUTH (Redis refuses the login or the database). */
int redis_fault(const struct redis *redis);

/* Sends one command; `cb` may be NULL, else it comes exactly once. ERR_UNAVAILABLE while down (then
 * no callback), ERR_FULL. */
MUST_CHECK int redis_command(struct redis *redis, size_t argc, const char *const *argv,
                             const size_t *argv_len, redis_reply_cb cb, void *arg);
/* Sends what is queued at once, so that Redis works beside the caller; else it leaves at the end of
 * this turn. No callback comes from here: what fails is reported at the end of the turn. */
void redis_hurry(struct redis *redis);

struct redis_subscriber;

struct redis_subscriber_events {
    void (*message)(const char *channel, size_t channel_len, const char *message,
                    size_t message_len, void *arg);
    /* Each time Redis acknowledges a channel, also after a reconnect, when messages may be lost. */
    void (*subscribed)(const char *channel, size_t channel_len, void *arg);
    /* Redis refuses the channel: no message arrives until `subscribed`. It retries every 5 s. May
     * be NULL. */
    void (*refused)(const char *channel, size_t channel_len, const char *problem, void *arg);
    redis_state_cb state; /* may be NULL */
};

/* A connection for subscriptions only; after a reconnect it subscribes to all its channels again.
 */
struct redis_subscriber *redis_subscriber_open(struct loop *loop, const struct redis_server *server,
                                               const struct redis_subscriber_events *events,
                                               void *arg);
void redis_subscriber_close(struct redis_subscriber *subscriber);
/* Ends its connection, if there is one, and connects again: on it no command asks whether the
 * server has become a replica (RESP2 allows no HELLO there), so whoever learns it elsewhere says
 * so. */
void redis_subscriber_renew(struct redis_subscriber *subscriber, const char *reason);
/* Remembers the channel, and subscribes now or when connected. A second call for it does
 * nothing. */
MUST_CHECK int redis_subscribe(struct redis_subscriber *subscriber, const char *channel);
void redis_unsubscribe(struct redis_subscriber *subscriber, const char *channel);

#endif
