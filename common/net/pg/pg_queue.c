#include "common/net/pg/pg_queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define RING_FIRST 16

int pg_ring_push(struct pg_ring *ring, const struct pg_sent *sent)
{
    if (ring->count == ring->cap) {
        size_t cap = ring->cap == 0 ? RING_FIRST : ring->cap * 2;
        struct pg_sent *slots = calloc(cap, sizeof *slots);
        if (slots == NULL)
            return ERR_NOMEM;
        for (size_t i = 0; i < ring->count; i++)
            slots[i] = ring->slots[(ring->first + i) % ring->cap];
        free(ring->slots);
        ring->slots = slots;
        ring->cap = cap;
        ring->first = 0;
    }
    ring->slots[(ring->first + ring->count) % ring->cap] = *sent;
    ring->count++;
    return 0;
}

struct pg_sent *pg_ring_head(struct pg_ring *ring)
{
    return ring->count == 0 ? NULL : &ring->slots[ring->first];
}

void pg_ring_pop(struct pg_ring *ring)
{
    ring->first = (ring->first + 1) % ring->cap;
    ring->count--;
}

void pg_ring_free(struct pg_ring *ring)
{
    free(ring->slots);
    *ring = (struct pg_ring){0};
}

size_t pg_params_bytes(const char *const *params, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += params[i] == NULL ? 0 : strlen(params[i]);
    return bytes;
}

struct pg_held *pg_held_new(const struct pg_statement *statement, const char *const *params,
                            size_t count, pg_result_cb cb, void *arg)
{
    size_t size = sizeof(struct pg_held) + count * sizeof(char *);
    size_t text = size;
    for (size_t i = 0; i < count; i++)
        size += params[i] == NULL ? 0 : strlen(params[i]) + 1;
    struct pg_held *held = calloc(1, size);
    if (held == NULL)
        return NULL;
    held->cb = cb;
    held->arg = arg;
    held->statement = statement;
    held->params = (const char **)(held + 1);
    for (size_t i = 0; i < count; i++) {
        if (params[i] == NULL)
            continue;
        size_t len = strlen(params[i]) + 1;
        held->params[i] = memcpy((char *)held + text, params[i], len);
        text += len;
    }
    return held;
}

void pg_line_push(struct pg_line *line, struct pg_held *held)
{
    if (line->last == NULL)
        line->first = held;
    else
        line->last->next = held;
    line->last = held;
    line->count++;
}

struct pg_held *pg_line_pop(struct pg_line *line)
{
    struct pg_held *held = line->first;
    if (held == NULL)
        return NULL;
    line->first = held->next;
    if (line->first == NULL)
        line->last = NULL;
    line->count--;
    return held;
}
