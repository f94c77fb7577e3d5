/* Spans that wait for their export, in the order of their ends. Where it is full, the oldest makes
 * room. Pure. */
#ifndef COMMON_SERVICE_SPAN_QUEUE_H
#define COMMON_SERVICE_SPAN_QUEUE_H

#include "common/service/span.h"

struct span_queue {
    struct span *places;
    size_t size;
    size_t first;
    size_t count;
};

/* 0 or ERR_NOMEM. */
MUST_CHECK int span_queue_init(struct span_queue *queue, size_t size);
void span_queue_free(struct span_queue *queue);
/* A zeroed place at the end, valid until the queue is used again. True in *ret_lost: the oldest
 * span was lost for it. */
struct span *span_queue_add(struct span_queue *queue, bool *ret_lost);
/* The span at `index` from the first. */
const struct span *span_queue_at(const struct span_queue *queue, size_t index);
/* Forgets the first `count`. */
void span_queue_drop(struct span_queue *queue, size_t count);

#endif
