/*
 * Admission: what Redis knows about an order before it is published. It is advisory: while Redis is
 * away or slow, every order passes, and the consumer alone decides. Its keys are those of
 * common/shop/redis_keys.h.
 */
#ifndef PRODUCER_ADMISSION_H
#define PRODUCER_ADMISSION_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"

struct admission;

enum admission_verdict {
    ADMISSION_PASS,       /* it left its marker */
    ADMISSION_RETRY,      /* its marker stood already: the same order again */
    ADMISSION_OTHER_BODY, /* the marker of another order stands under its id */
    ADMISSION_SOLD_OUT,
    ADMISSION_TAKEN,  /* another order has the lock of the item */
    ADMISSION_LOCKED, /* it left its marker and took the lock */
    ADMISSION_OPEN,   /* Redis was not asked or did not answer in time */
};

/* One order in admission; embedded in the caller's, which keeps it and its texts until the
 * verdict. */
struct admission_entry {
    const char *order_id;
    const char *fingerprint;
    const char *sku;
    struct admission_entry *next;
};

typedef void (*admission_verdict_cb)(struct admission_entry *entry, enum admission_verdict verdict,
                                     void *arg);

/* `redis` must outlive the admission. `verdict` comes once for each entry, from the loop. NULL: no
 * memory. */
struct admission *admission_new(struct loop *loop, struct redis *redis,
                                admission_verdict_cb verdict, void *arg);
/* Forgets its entries. NULL is allowed. */
void admission_free(struct admission *admission);

void admission_ask(struct admission *admission, struct admission_entry *entry);
/* Deletes what an ADMISSION_PASS or ADMISSION_LOCKED left, for an order that was certainly not
 * accepted. */
void admission_take_back(struct admission *admission, const struct admission_entry *entry);

#endif
