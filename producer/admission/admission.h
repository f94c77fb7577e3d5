/*
 * Admission: what Redis and PostgreSQL know about an order before it is published. It is advisory:
 * while they are away or slow, every order passes within the limits, which this process then counts
 * alone, and the consumer decides. Its keys are those of common/shop/redis_keys.h.
 *
 * PostgreSQL is asked where an order's marker stands already, and where Redis cannot vouch that it
 * would stand: while it is away, and until it has lost nothing for as long as a marker lives. Where
 * the order exists, its own fingerprint decides, and mends the marker.
 *
 * An order that Redis lets pass is refused only if PostgreSQL says that there is no such item. With
 * Redis away it passes, since a retry would look like a new order.
 */
#ifndef PRODUCER_ADMISSION_ADMISSION_H
#define PRODUCER_ADMISSION_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/redis/redis.h"
#include "common/service/sessions.h"
#include "producer/admission/admission_entry.h"
#include "producer/limits/limits.h"

struct admission;

typedef void (*admission_verdict_cb)(struct admission_entry *entry, enum admission_verdict verdict,
                                     void *arg);

struct admission_options {
    struct redis *redis;             /* all must outlive the admission */
    const struct sessions *sessions; /* may be opened later */
    struct limits *limits;
    uint64_t redis_vouches_after_ms; /* for how long it must have lost nothing */
    struct metric *redis_vouching;   /* 1 while it vouches; NULL: none */
};

/* `verdict` comes once for each entry, from the loop. NULL: no memory. */
struct admission *admission_new(struct loop *loop, const struct admission_options *options,
                                admission_verdict_cb verdict, void *arg);
/* Forgets its entries. NULL is allowed. */
void admission_free(struct admission *admission);

void admission_ask(struct admission *admission, struct admission_entry *entry);
/* Call it when Redis' connection comes and goes. */
void admission_redis_changed(struct admission *admission, bool up);
/* Removes what an order left at its verdict, for one that was certainly not accepted. */
void admission_take_back(struct admission *admission, const struct admission_entry *entry);

#endif
