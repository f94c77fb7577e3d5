/*
 * Whether there is the item that an order names. The list of items is the table itself: PostgreSQL
 * is asked about an item that this process has not met yet, beside Redis, in the time that orders
 * wait anyway (producer/admission/table_asker.h). An item that was there is remembered, and asked
 * about no more; one that was not is asked about each time, so a new item can be ordered from its
 * commit on.
 */
#ifndef PRODUCER_ADMISSION_KNOWN_ITEMS_H
#define PRODUCER_ADMISSION_KNOWN_ITEMS_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/service/sessions.h"
#include "producer/admission/table_asker.h"

/* A question about one item; embedded in the asker's, which keeps it and the SKU until the
 * answer. */
struct item_question {
    struct table_question question; /* first */
    bool missing; /* with the answer: PostgreSQL says that there is no such item */
};

/* Once for each question, from the loop. */
typedef void (*item_answer_cb)(struct item_question *question, void *arg);

struct known_items;

/* `sessions` outlives it, and may be opened later. NULL: no memory. */
struct known_items *known_items_new(struct loop *loop, const struct sessions *sessions,
                                    item_answer_cb answer, void *arg);
/* Forgets its questions. NULL is allowed. */
void known_items_free(struct known_items *items);

/* False: the item is known, and no answer comes. */
MUST_CHECK bool known_items_ask(struct known_items *items, struct item_question *question,
                                const char *sku);

#endif
