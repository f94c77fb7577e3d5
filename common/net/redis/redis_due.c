#include "common/net/redis/redis_due.h"

#include <stdlib.h>

#include "common/base/err.h"

#define FIRST_CAP 16

int redis_due_push(struct redis_due *due, redis_reply_cb cb, void *arg)
{
    if (due->count == due->cap) {
        size_t cap = due->cap == 0 ? FIRST_CAP : due->cap * 2;
        struct redis_due_entry *ring = calloc(cap, sizeof *ring);
        if (ring == NULL)
            return ERR_NOMEM;
        for (size_t i = 0; i < due->count; i++)
            ring[i] = due->ring[(due->first + i) % due->cap];
        free(due->ring);
        due->ring = ring;
        due->cap = cap;
        due->first = 0;
    }
    due->ring[(due->first + due->count) % due->cap] = (struct redis_due_entry){cb, arg};
    due->count++;
    return 0;
}

void redis_due_unpush(struct redis_due *due)
{
    due->count--;
}

bool redis_due_pop(struct redis_due *due, struct redis_due_entry *ret_entry)
{
    if (due->count == 0)
        return false;
    *ret_entry = due->ring[due->first];
    due->first = (due->first + 1) % due->cap;
    due->count--;
    return true;
}

void redis_due_free(struct redis_due *due)
{
    free(due->ring);
    *due = (struct redis_due){0};
}
