/*
 * Payments that wait for their call at the gateway: items take turns, and one item has at most so
 * many calls in flight, so that an item whose payments are slow leaves places to the others. Within
 * an item, those that were called already go before the fresh ones: what is unclear is cleared up
 * before more is begun, and a gateway in trouble is not probed with ever more payments. Else first
 * come, first called. Pure.
 */
#ifndef CONSUMER_MONEY_PAYER_QUEUE_H
#define CONSUMER_MONEY_PAYER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"

struct payer_queue;
struct payer_queue_item;

/* Part of what is queued; zeroed before its first push. */
struct payer_queue_entry {
    struct payer_queue_entry *next;
    struct payer_queue_item *item; /* NULL: neither queued nor taken */
};

/* NULL: no memory. */
struct payer_queue *payer_queue_new(size_t at_most_per_item);
/* Entries that are queued or taken are not touched. */
void payer_queue_free(struct payer_queue *queue);

/* Behind the others of its item that were called already, or that were not. 0 or ERR_NOMEM. */
MUST_CHECK int payer_queue_push(struct payer_queue *queue, struct payer_queue_entry *entry,
                                const char *sku, bool again);
/* Whose turn it is; it stays queued. NULL: nobody's, or those that wait have to wait for calls of
 * their items to end. */
struct payer_queue_entry *payer_queue_first(const struct payer_queue *queue);
/* Takes the first out, as called: its item's turn is over. */
void payer_queue_take(struct payer_queue *queue);
/* Takes the first out, as not to be called. */
void payer_queue_drop(struct payer_queue *queue);
/* The call of one that was taken has ended. */
void payer_queue_done(struct payer_queue *queue, struct payer_queue_entry *entry);

#endif
