/* The answers that are due on a Redis connection, oldest first. Only for redis.c. */
#ifndef COMMON_NET_REDIS_REDIS_DUE_H
#define COMMON_NET_REDIS_REDIS_DUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/redis/redis_reply.h"

struct redis_due_entry {
    redis_reply_cb cb; /* NULL: no caller waits */
    void *arg;
};

/* A growing ring; zeroed is empty. Its owner bounds it. */
struct redis_due {
    struct redis_due_entry *ring;
    size_t cap;
    size_t first;
    size_t count;
};

/* ERR_NOMEM at worst. */
MUST_CHECK int redis_due_push(struct redis_due *due, redis_reply_cb cb, void *arg);
/* Removes the newest. */
void redis_due_unpush(struct redis_due *due);
/* False: empty. */
bool redis_due_pop(struct redis_due *due, struct redis_due_entry *ret_entry);
void redis_due_free(struct redis_due *due);

#endif
