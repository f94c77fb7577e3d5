/* The story of an order in plain words. Pure. */
#ifndef CTL_ORDERS_ORDER_TEXT_H
#define CTL_ORDERS_ORDER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

/* One step of the story; strings may be NULL where a fact is unknown. */
struct order_step {
    const char *kind; /* of checkout.show_story */
    int64_t at_ms;
    const char *status;
    const char *reason;
    int64_t sequence;
    const char *place;
    const char *epoch;
    const char *member;
    const char *relayed; /* "t", "f" */
    const char *relayed_at;
    const char *attempt;
    const char *amount;
    const char *currency;
    const char *code;
    const char *intent;
    const char *key;
    const char *asked_by;
    const char *what;
    const char *units;
    const char *result;
};

/* What earlier steps mean for later ones. Zeroed at the beginning. */
struct order_teller {
    const char *shard;
    bool reserved;            /* its units are held */
    int64_t waiting_since_ms; /* 0: it does not wait */
    int64_t payment_since_ms;
    int64_t refund_since_ms;
};

/* Appends the step as one paragraph. */
void order_text_step(struct order_teller *teller, const struct order_step *step, struct buf *out);

/* 8-4-4-4-12 hex digits. */
bool order_text_is_id(const char *text);
/* Prints `text` wrapped at 80 columns: its first line after `head`, the others below its text. */
void order_text_print(const char *head, const char *text);

#endif
