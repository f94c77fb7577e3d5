/*
 * What PostgreSQL knows about orders that come again, or that may have come before. The answer
 * decides nothing that the consumer would not decide later; it spares the buyer the wait.
 */
#ifndef PRODUCER_ADMISSION_KNOWN_ORDERS_H
#define PRODUCER_ADMISSION_KNOWN_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/service/sessions.h"
#include "producer/admission/table_asker.h"

/* A row of the orders. */
struct known_order {
    char *fingerprint;
    char *state;   /* members of a JSON object: the order as its buyer sees it */
    int64_t place; /* in a waitlist whose clock runs; 0: in none */
    bool final;
};

/* A question about one order; embedded in the asker's, which keeps it and the order's id until the
 * answer, and frees the row by known_orders_free_row. */
struct known_question {
    struct table_question question; /* first */
    struct known_order row; /* with the answer; zero: there is no such order, or it is not known */
};

/* Once for each question, from the loop. */
typedef void (*known_answer_cb)(struct known_question *question, void *arg);

struct known_orders;

/* `sessions` outlives it, and may be opened later. NULL: no memory. */
struct known_orders *known_orders_new(struct loop *loop, const struct sessions *sessions,
                                      known_answer_cb answer, void *arg);
/* Forgets its questions. NULL is allowed. */
void known_orders_free(struct known_orders *known);

void known_orders_ask(struct known_orders *known, struct known_question *question,
                      const char *order_id);
void known_orders_free_row(struct known_order *row);

#endif
