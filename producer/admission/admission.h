/*
 * Admission: what Redis and PostgreSQL know about an order before it is published. It is advisory:
 * while they are away or slow, every order passes, and the consumer alone decides. Its keys are
 * those of common/shop/redis_keys.h.
 *
 * PostgreSQL is asked where an order's marker stands already, and where Redis cannot vouch that it
 * would stand: while it is away, and until its process has been up as long as a marker lives. Where
 * the order exists, its own fingerprint decides, and mends the marker.
 */
#ifndef PRODUCER_ADMISSION_ADMISSION_H
#define PRODUCER_ADMISSION_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"
#include "producer/admission/known_orders.h"

struct admission;

enum admission_verdict {
    ADMISSION_PASS,       /* it left its marker */
    ADMISSION_RETRY,      /* its marker stood already: the same order again */
    ADMISSION_OTHER_BODY, /* another order, or its marker, stands under its id */
    ADMISSION_KNOWN,      /* this order was decided before: see admission_entry.known.row */
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
    struct known_question known;
    enum admission_verdict redis_verdict;
    unsigned waits; /* for whom it waits */
    bool table_asked;
};

typedef void (*admission_verdict_cb)(struct admission_entry *entry, enum admission_verdict verdict,
                                     void *arg);

struct admission_options {
    struct redis *redis;             /* both must outlive the admission */
    const struct sessions *sessions; /* may be opened later */
    uint64_t redis_vouches_after_ms; /* how long its process must have been up */
};

/* `verdict` comes once for each entry, from the loop. NULL: no memory. */
struct admission *admission_new(struct loop *loop, const struct admission_options *options,
                                admission_verdict_cb verdict, void *arg);
/* Forgets its entries. NULL is allowed. */
void admission_free(struct admission *admission);

void admission_ask(struct admission *admission, struct admission_entry *entry);
/* Call it when Redis' connection comes and goes. */
void admission_redis_changed(struct admission *admission, bool up);
/* Deletes what an ADMISSION_PASS or ADMISSION_LOCKED left, for an order that was certainly not
 * accepted. */
void admission_take_back(struct admission *admission, const struct admission_entry *entry);

#endif
