/* The newest event that one socket got of each of its orders, so that each order's events go out in
 * order. No I/O. */
#ifndef NOTIFIER_PROGRESS_H
#define NOTIFIER_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "notifier/envelope.h"

#define PROGRESS_MAX 1024 /* orders remembered */
#define PROGRESS_FINAL_KEPT_MS                                                                     \
    ((uint64_t)5 * 60 * 1000) /* an ended order is remembered this long at least                   \
                               */

struct progress_entry {
    unsigned char order[ENVELOPE_ORDER_SIZE];
    int64_t sequence;
    uint64_t touched_ms;
    bool final;
};

/* Zeroed is empty. */
struct progress {
    struct progress_entry *entries;
    size_t count;
    size_t cap;
};

/*
 * Whether an event is news; then it counts as sent. False: this or a newer state of the order went
 * out already. Beyond PROGRESS_MAX orders, or without memory, it forgets the order whose last event
 * is oldest: that event may be sent again, with the same id.
 */
bool progress_advance(struct progress *progress, const struct envelope *envelope, uint64_t now_ms);
void progress_free(struct progress *progress);

#endif
