#include "consumer/gateway/fair_queue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/strmap.h"
#include "common/shop/job.h"

#define BUCKETS 1024 /* a power of two */

TAILQ_HEAD(fifo, fair_queue_entry);

struct fair_queue_item {
    char sku[JOB_SKU_MAX + 1];
    struct fifo again, fresh;
    size_t calling;
    bool in_turn; /* in the ring */
    TAILQ_ENTRY(fair_queue_item) ring;
    LIST_ENTRY(fair_queue_item) bucket;
};

struct fair_queue {
    size_t at_most_per_item;
    TAILQ_HEAD(, fair_queue_item) ring; /* items with somebody to call, in their order */
    LIST_HEAD(, fair_queue_item) buckets[BUCKETS];
};

struct fair_queue *fair_queue_new(size_t at_most_per_item)
{
    struct fair_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->at_most_per_item = at_most_per_item;
    TAILQ_INIT(&queue->ring);
    return queue;
}

void fair_queue_free(struct fair_queue *queue)
{
    if (queue == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct fair_queue_item *item;
        while ((item = LIST_FIRST(&queue->buckets[i])) != NULL) {
            LIST_REMOVE(item, bucket);
            free(item);
        }
    }
    free(queue);
}

static struct fair_queue_item *item_of(struct fair_queue *queue, const char *sku)
{
    size_t len = strlen(sku);
    size_t bucket = strmap_hash(sku, len) & (BUCKETS - 1);
    struct fair_queue_item *item;
    LIST_FOREACH(item, &queue->buckets[bucket], bucket)
    if (strcmp(item->sku, sku) == 0)
        return item;
    item = calloc(1, sizeof *item);
    if (item == NULL || len > JOB_SKU_MAX) {
        free(item);
        return NULL;
    }
    memcpy(item->sku, sku, len + 1);
    TAILQ_INIT(&item->again);
    TAILQ_INIT(&item->fresh);
    LIST_INSERT_HEAD(&queue->buckets[bucket], item, bucket);
    return item;
}

/* Whose turn it is in the item; NULL: none waits. */
static struct fair_queue_entry *first_of(const struct fair_queue_item *item)
{
    struct fair_queue_entry *entry = TAILQ_FIRST(&item->again);
    return entry != NULL ? entry : TAILQ_FIRST(&item->fresh);
}

/* Puts the item where it belongs now: into the ring, out of it, or away. */
static void settle(struct fair_queue *queue, struct fair_queue_item *item)
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

int fair_queue_push(struct fair_queue *queue, struct fair_queue_entry *entry, const char *sku,
                    bool again)
{
    struct fair_queue_item *item = item_of(queue, sku);
    if (item == NULL)
        return ERR_NOMEM;
    entry->item = item;
    entry->place = again ? FAIR_QUEUE_AGAIN : FAIR_QUEUE_FRESH;
    TAILQ_INSERT_TAIL(again ? &item->again : &item->fresh, entry, link);
    settle(queue, item);
    return 0;
}

struct fair_queue_entry *fair_queue_first(const struct fair_queue *queue)
{
    const struct fair_queue_item *item = TAILQ_FIRST(&queue->ring);
    return item == NULL ? NULL : first_of(item);
}

/* Out of its line. */
static void leave(struct fair_queue_entry *entry, enum fair_queue_place to)
{
    struct fair_queue_item *item = entry->item;
    TAILQ_REMOVE(entry->place == FAIR_QUEUE_AGAIN ? &item->again : &item->fresh, entry, link);
    entry->place = to;
}

void fair_queue_take(struct fair_queue *queue)
{
    struct fair_queue_item *item = TAILQ_FIRST(&queue->ring);
    leave(first_of(item), FAIR_QUEUE_TAKEN);
    item->calling++;
    TAILQ_REMOVE(&queue->ring, item, ring); /* to the tail, if it has more */
    item->in_turn = false;
    settle(queue, item);
}

void fair_queue_remove(struct fair_queue *queue, struct fair_queue_entry *entry)
{
    struct fair_queue_item *item = entry->item;
    if (entry->place != FAIR_QUEUE_AGAIN && entry->place != FAIR_QUEUE_FRESH)
        return;
    leave(entry, FAIR_QUEUE_NONE);
    entry->item = NULL;
    settle(queue, item);
}

void fair_queue_done(struct fair_queue *queue, struct fair_queue_entry *entry)
{
    struct fair_queue_item *item = entry->item;
    entry->item = NULL;
    entry->place = FAIR_QUEUE_NONE;
    item->calling--;
    settle(queue, item);
}
