#include "common/net/pg/pg_queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define RING_FIRST 16

int db_ring_push(struct db_ring *ring, const struct db_sent *sent)
{
    if (ring->count == ring->cap) {
        size_t cap = ring->cap == 0 ? RING_FIRST : ring->cap * 2;
        struct db_sent *slots = calloc(cap, sizeof *slots);
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

struct db_sent *db_ring_head(struct db_ring *ring)
{
    return ring->count == 0 ? NULL : &ring->slots[ring->first];
}

void db_ring_pop(struct db_ring *ring)
{
    ring->first = (ring->first + 1) % ring->cap;
    ring->count--;
}

void db_ring_free(struct db_ring *ring)
{
    free(ring->slots);
    *ring = (struct db_ring){0};
}

size_t db_params_bytes(const char *const *params, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += params[i] == NULL ? 0 : strlen(params[i]);
    return bytes;
}

struct db_held *db_held_new(const struct db_statement *statement, const char *const *params,
                            size_t count, db_result_cb cb, void *arg)
{
    size_t size = sizeof(struct db_held) + count * sizeof(char *);
    size_t text = size;
    for (size_t i = 0; i < count; i++)
        size += params[i] == NULL ? 0 : strlen(params[i]) + 1;
    struct db_held *held = calloc(1, size);
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

void db_line_push(struct db_line *line, struct db_held *held)
{
    if (line->last == NULL)
        line->first = held;
    else
        line->last->next = held;
    line->last = held;
    line->count++;
}

struct db_held *db_line_pop(struct db_line *line)
{
    struct db_held *held = line->first;
    if (held == NULL)
        return NULL;
    line->first = held->next;
    if (line->first == NULL)
        line->last = NULL;
    line->count--;
    return held;
}
