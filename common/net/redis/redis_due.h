/* The answers that a Redis connection owes, oldest first: for kv.c alone. */
#ifndef COMMON_NET_REDIS_REDIS_DUE_H
#define COMMON_NET_REDIS_REDIS_DUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/redis/redis.h"

struct kv_due_entry {
    kv_reply_cb cb; /* NULL: nobody waits */
    void *arg;
};

/* A growing ring; zeroed is empty. Its owner bounds it. */
struct kv_due {
    struct kv_due_entry *ring;
    size_t cap;
    size_t first;
    size_t count;
};

/* ERR_NOMEM at worst. */
MUST_CHECK int kv_due_push(struct kv_due *due, kv_reply_cb cb, void *arg);
/* Takes back what was pushed last. */
void kv_due_unpush(struct kv_due *due);
/* False: empty. */
bool kv_due_pop(struct kv_due *due, struct kv_due_entry *ret_entry);
void kv_due_free(struct kv_due *due);

#endif
