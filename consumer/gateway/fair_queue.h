/*
 * What waits for its call at the gateway: items take turns, and one item has at most so many calls
 * in flight, so that an item whose payments are slow leaves places to the others. Within an item,
 * those that were called already go before the fresh ones: what is unclear is cleared up before
 * more is begun, and a gateway in trouble is not probed with ever more payments. Else first come,
 * first called. Pure.
 */
#ifndef CONSUMER_GATEWAY_FAIR_QUEUE_H
#define CONSUMER_GATEWAY_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "common/base/attrs.h"

struct fair_queue;
struct fair_queue_item;

enum fair_queue_place { FAIR_QUEUE_NONE, FAIR_QUEUE_AGAIN, FAIR_QUEUE_FRESH, FAIR_QUEUE_TAKEN };

/* Part of what is queued; zeroed before its first push. */
struct fair_queue_entry {
    TAILQ_ENTRY(fair_queue_entry) link;
    struct fair_queue_item *item;
    enum fair_queue_place place;
};

/* NULL: no memory. */
struct fair_queue *fair_queue_new(size_t at_most_per_item);
/* Entries that are queued or taken are not touched. NULL is allowed. */
void fair_queue_free(struct fair_queue *queue);

/* Behind the others of its item that were called already, or that were not. 0 or ERR_NOMEM. */
MUST_CHECK int fair_queue_push(struct fair_queue *queue, struct fair_queue_entry *entry,
                               const char *sku, bool again);
/* Whose turn it is; it stays queued. NULL: none waits, or those that wait have to wait for calls of
 * their items to end. */
struct fair_queue_entry *fair_queue_first(const struct fair_queue *queue);
/* Takes the first out, as called: its item's turn is over. */
void fair_queue_take(struct fair_queue *queue);
/* Takes one out that is queued, as not to be called; else does nothing. */
void fair_queue_remove(struct fair_queue *queue, struct fair_queue_entry *entry);
/* The call of one that was taken has ended. */
void fair_queue_done(struct fair_queue *queue, struct fair_queue_entry *entry);

#endif
