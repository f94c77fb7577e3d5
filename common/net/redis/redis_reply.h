/* The answers of Redis, and the reports of its connection. */
#ifndef COMMON_NET_REDIS_REDIS_REPLY_H
#define COMMON_NET_REDIS_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis;

enum redis_type { REDIS_LOST, REDIS_NIL, REDIS_STRING, REDIS_INTEGER, REDIS_ERROR, REDIS_ARRAY };

struct redis_reply {
    enum redis_type type; /* REDIS_LOST: the connection ended before the answer */
    const char *str;      /* REDIS_STRING, REDIS_ERROR; not NUL-safe: use len */
    size_t len;
    int64_t integer;
    const struct redis_reply *items; /* REDIS_ARRAY */
    size_t count;
};

typedef void (*redis_reply_cb)(const struct redis_reply *reply, void *arg);
/* up: connected, authenticated, database selected. `reason` when down, else NULL. */
typedef void (*redis_state_cb)(bool up, const char *reason, void *arg);

#endif
