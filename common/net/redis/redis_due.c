#include "common/net/redis/redis_due.h"

#include <stdlib.h>

#include "common/base/err.h"

#define FIRST_CAP 16

int kv_due_push(struct kv_due *due, kv_reply_cb cb, void *arg)
{
    if (due->count == due->cap) {
        size_t cap = due->cap == 0 ? FIRST_CAP : due->cap * 2;
        struct kv_due_entry *ring = calloc(cap, sizeof *ring);
        if (ring == NULL)
            return ERR_NOMEM;
        for (size_t i = 0; i < due->count; i++)
            ring[i] = due->ring[(due->first + i) % due->cap];
        free(due->ring);
        due->ring = ring;
        due->cap = cap;
        due->first = 0;
    }
    due->ring[(due->first + due->count) % due->cap] = (struct kv_due_entry){cb, arg};
    due->count++;
    return 0;
}

void kv_due_unpush(struct kv_due *due)
{
    due->count--;
}

bool kv_due_pop(struct kv_due *due, struct kv_due_entry *ret_entry)
{
    if (due->count == 0)
        return false;
    *ret_entry = due->ring[due->first];
    due->first = (due->first + 1) % due->cap;
    due->count--;
    return true;
}

void kv_due_free(struct kv_due *due)
{
    free(due->ring);
    *due = (struct kv_due){0};
}
