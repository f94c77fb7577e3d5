/* Only for redis_subscriber.c: a connection that also receives pushed messages. */
#ifndef COMMON_NET_REDIS_REDIS_PUSH_H
#define COMMON_NET_REDIS_REDIS_PUSH_H

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis_reply.h"
#include "common/net/redis/redis_server.h"

/* A message, or the answer to a redis_send, then with its `about`. */
typedef void (*redis_push_cb)(const struct redis_reply *push, void *about, void *arg);

struct redis *redis_open_push(struct loop *loop, const struct redis_server *server,
                              redis_push_cb push, redis_state_cb state, void *arg);
/* Ends the connection, if it is up, and connects again. */
void redis_renew(struct redis *redis, const char *reason);
/* Sends a command whose answer is one push. ERR_UNAVAILABLE, ERR_FULL, ERR_NOMEM. */
MUST_CHECK int redis_send(struct redis *redis, size_t argc, const char *const *argv,
                          const size_t *argv_len, void *about);

#endif
