/*
 * The gate: what Redis knows about an order before it is published. Advisory: Redis away or slow
 * opens it, the counter alone decides.
 *
 *   checkout:seen:<order id>  fingerprint of the order that was let through under this id
 *   checkout:gate:<sku>       "<mode>:<state>", mode none, soldout or lock, state open or sold;
 *                             kept alive by the item's owner; absent: open
 *   checkout:lock:<sku>       the order that has the item in its cart
 */
#ifndef PRODUCER_ADMISSION_H
#define PRODUCER_ADMISSION_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/net/redis/redis.h"
#include "common/base/loop.h"

struct gate;

enum gate_verdict {
    GATE_PASS,       /* it left its marker */
    GATE_RETRY,      /* its marker stood already: the same order again */
    GATE_OTHER_BODY, /* the marker of another order stands under its id */
    GATE_SOLD_OUT,
    GATE_TAKEN,  /* another order has the lock of the item */
    GATE_LOCKED, /* it left its marker and took the lock */
    GATE_OPEN,   /* Redis was not asked or did not answer in time */
};

/* One order at the gate; embedded in the caller's, which keeps it and its texts until the verdict.
 */
struct gate_entry {
    const char *order_id;
    const char *fingerprint;
    const char *sku;
    struct gate_entry *next;
};

typedef void (*gate_verdict_cb)(struct gate_entry *entry, enum gate_verdict verdict, void *arg);

/* `kv` must outlive the gate. `verdict` comes once for each entry, from the loop. NULL: no memory.
 */
struct gate *gate_new(struct loop *loop, struct kv *kv, gate_verdict_cb verdict, void *arg);
/* Entries at the gate are forgotten. NULL is allowed. */
void gate_free(struct gate *gate);

void gate_ask(struct gate *gate, struct gate_entry *entry);
/* Takes back what a GATE_PASS or GATE_LOCKED left, for an order that was surely not accepted. */
void gate_take_back(struct gate *gate, const struct gate_entry *entry);

#endif
