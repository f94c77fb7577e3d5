/* One order in admission, and what becomes of it there. */
#ifndef PRODUCER_ADMISSION_ADMISSION_ENTRY_H
#define PRODUCER_ADMISSION_ADMISSION_ENTRY_H

#include <stdbool.h>

#include "producer/admission/known_items.h"
#include "producer/admission/known_orders.h"
#include "producer/limits/limits.h"

enum admission_verdict {
    ADMISSION_PASS,       /* it left its marker */
    ADMISSION_RETRY,      /* its marker stood already: the same order again */
    ADMISSION_OTHER_BODY, /* another order, or its marker, stands under its id */
    ADMISSION_KNOWN,      /* this order was decided before: see admission_entry.known.row */
    ADMISSION_SOLD_OUT,
    ADMISSION_TAKEN,   /* another order has the lock of the item */
    ADMISSION_LOCKED,  /* it left its marker and took the lock */
    ADMISSION_NO_ITEM, /* it left its marker, but there is no such item */
    ADMISSION_LIMITED, /* too many of its customer or its address: see admission_entry.refused */
    ADMISSION_OPEN,    /* Redis was not asked or did not answer in time */
};

/* One order in admission; embedded in the caller's, which keeps it and its texts until the
 * verdict. */
struct admission_entry {
    const char *order_id;
    const char *fingerprint;
    const char *sku;
    struct limit_names names;
    struct limit_refusal refused; /* with ADMISSION_LIMITED */
    struct admission_entry *next;
    struct known_question known;
    struct item_question item;
    enum admission_verdict redis_verdict;
    unsigned waits; /* for whom it waits */
    bool table_asked;
    bool counted_here; /* it took its places in this process */
};

#endif
