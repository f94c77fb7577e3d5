#include "consumer/money/payer_queue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/err.h"
#include "common/shop/job.h"

#define BUCKETS 1024 /* a power of two */

struct fifo {
    struct payer_queue_entry *head, *tail;
};

struct payer_queue_item {
    char sku[JOB_SKU_MAX + 1];
    struct fifo again, fresh;
    size_t calling;
    bool in_turn; /* in the ring */
    TAILQ_ENTRY(payer_queue_item) ring;
    LIST_ENTRY(payer_queue_item) bucket;
};

struct payer_queue {
    size_t at_most_per_item;
    TAILQ_HEAD(, payer_queue_item) ring; /* items with somebody to call, in their order */
    LIST_HEAD(, payer_queue_item) buckets[BUCKETS];
};

struct payer_queue *payer_queue_new(size_t at_most_per_item)
{
    struct payer_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->at_most_per_item = at_most_per_item;
    TAILQ_INIT(&queue->ring);
    return queue;
}

void payer_queue_free(struct payer_queue *queue)
{
    if (queue == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct payer_queue_item *item;
        while ((item = LIST_FIRST(&queue->buckets[i])) != NULL) {
            LIST_REMOVE(item, bucket);
            free(item);
        }
    }
    free(queue);
}

/* FNV-1a (Fowler, Noll, Vo). */
static size_t bucket_of(const char *sku)
{
    uint32_t hash = 2166136261U;
    for (; *sku != '\0'; sku++)
        hash = (hash ^ (unsigned char)*sku) * 16777619U;
    return hash & (BUCKETS - 1);
}

static struct payer_queue_item *item_of(struct payer_queue *queue, const char *sku)
{
    size_t bucket = bucket_of(sku);
    struct payer_queue_item *item;
    LIST_FOREACH(item, &queue->buckets[bucket], bucket)
    if (strcmp(item->sku, sku) == 0)
        return item;
    item = calloc(1, sizeof *item);
    size_t len = strlen(sku);
    if (item == NULL || len > JOB_SKU_MAX) {
        free(item);
        return NULL;
    }
    memcpy(item->sku, sku, len + 1);
    LIST_INSERT_HEAD(&queue->buckets[bucket], item, bucket);
    return item;
}

/* Whose turn it is in the item; NULL: nobody waits. */
static struct fifo *first_of(struct payer_queue_item *item)
{
    if (item->again.head != NULL)
        return &item->again;
    return item->fresh.head == NULL ? NULL : &item->fresh;
}

/* Puts the item where it belongs now: into the ring, out of it, or away. */
static void settle(struct payer_queue *queue, struct payer_queue_item *item)
{
    bool waits = first_of(item) != NULL;
    bool ready = waits && item->calling < queue->at_most_per_item;
    if (item->in_turn && !ready)
        TAILQ_REMOVE(&queue->ring, item, ring);
    else if (!item->in_turn && ready)
        TAILQ_INSERT_TAIL(&queue->ring, item, ring);
    item->in_turn = ready;
    if (!waits && item->calling == 0) {
        LIST_REMOVE(item, bucket);
        free(item);
    }
}

int payer_queue_push(struct payer_queue *queue, struct payer_queue_entry *entry, const char *sku,
                     bool again)
{
    struct payer_queue_item *item = item_of(queue, sku);
    if (item == NULL)
        return ERR_NOMEM;
    entry->item = item;
    entry->next = NULL;
    struct fifo *fifo = again ? &item->again : &item->fresh;
    if (fifo->head == NULL)
        fifo->head = entry;
    else
        fifo->tail->next = entry;
    fifo->tail = entry;
    settle(queue, item);
    return 0;
}

struct payer_queue_entry *payer_queue_first(const struct payer_queue *queue)
{
    struct payer_queue_item *item = TAILQ_FIRST(&queue->ring);
    return item == NULL ? NULL : first_of(item)->head;
}

static struct payer_queue_entry *pop(struct payer_queue_item *item)
{
    struct fifo *fifo = first_of(item);
    struct payer_queue_entry *entry = fifo->head;
    fifo->head = entry->next;
    entry->next = NULL;
    return entry;
}

void payer_queue_take(struct payer_queue *queue)
{
    struct payer_queue_item *item = TAILQ_FIRST(&queue->ring);
    (void)pop(item);
    item->calling++;
    TAILQ_REMOVE(&queue->ring, item, ring); /* to the tail, if it has more */
    item->in_turn = false;
    settle(queue, item);
}

void payer_queue_drop(struct payer_queue *queue)
{
    struct payer_queue_item *item = TAILQ_FIRST(&queue->ring);
    pop(item)->item = NULL;
    settle(queue, item);
}

void payer_queue_done(struct payer_queue *queue, struct payer_queue_entry *entry)
{
    struct payer_queue_item *item = entry->item;
    entry->item = NULL;
    item->calling--;
    settle(queue, item);
}
