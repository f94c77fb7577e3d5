/*
 * What the gateway's list of intents tells of payments that no call can clear up, and of those that
 * ended without money and are looked at again some time later: one pass through the list, newest
 * first, serves all of them. A page that fails is asked for again, some times and with backoff. A
 * pass begins where the oldest payment does, by the gateway's own clock.
 */
#ifndef CONSUMER_MONEY_RECONCILE_H
#define CONSUMER_MONEY_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/pay/pay.h"

struct reconcile;
struct gateway;

/* A payment that is looked for; part of whatever looks for it, zeroed before it is added. */
struct reconcile_entry {
    const char *order_id; /* these outlive it */
    int64_t born_ms;      /* monotonic: no intent of it is older */
    /* An intent of its order: any number of them, in any order. It may not add or remove entries.
     */
    void (*intent)(struct reconcile_entry *entry, const struct pay_intent *intent);
    /* The list was read to its end, and it is out. `began_ms`: when the reading began, or
     * GATEWAY_LIST_UNCLEAR. */
    void (*read)(struct reconcile_entry *entry, int64_t began_ms);
    /* ours */
    LIST_ENTRY(reconcile_entry) bucket;
    TAILQ_ENTRY(reconcile_entry) link;
    int64_t at_ms;
    bool here;
    bool in_pass;
};

/* Both must outlive it. NULL: no memory. */
struct reconcile *reconcile_new(struct loop *loop, struct gateway *gateway);
/* Entries are not touched; calls in flight must have been ended by pay_free before. NULL is
 * allowed. */
void reconcile_free(struct reconcile *reconcile);

/* The next pass looks for it: after a backoff, or (`at_ms`, monotonic) not before that. */
void reconcile_add(struct reconcile *reconcile, struct reconcile_entry *entry, int64_t at_ms);
/* It is not looked for (any more). */
void reconcile_remove(struct reconcile *reconcile, struct reconcile_entry *entry);
/* The next pass begins at once, if none is under way. */
void reconcile_hurry(struct reconcile *reconcile);
/* An answer of the gateway carried this date. */
void reconcile_heard_date(struct reconcile *reconcile, int64_t date_s);

#endif
