#include "common/service/span_queue.h"

#include <stdlib.h>

#include "common/base/err.h"

int span_queue_init(struct span_queue *queue, size_t size)
{
    *queue = (struct span_queue){.size = size};
    queue->places = calloc(size, sizeof *queue->places);
    return queue->places == NULL ? ERR_NOMEM : 0;
}

void span_queue_free(struct span_queue *queue)
{
    free(queue->places);
    queue->places = NULL;
}

struct span *span_queue_add(struct span_queue *queue, bool *ret_lost)
{
    *ret_lost = queue->count == queue->size;
    if (*ret_lost)
        span_queue_drop(queue, 1);
    struct span *span = &queue->places[(queue->first + queue->count++) % queue->size];
    *span = (struct span){0};
    return span;
}

const struct span *span_queue_at(const struct span_queue *queue, size_t index)
{
    return &queue->places[(queue->first + index) % queue->size];
}

void span_queue_drop(struct span_queue *queue, size_t count)
{
    queue->first = (queue->first + count) % queue->size;
    queue->count -= count;
}
