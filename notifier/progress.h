/* How far one socket has been told of each of its orders, so that it is told in order. No I/O. */
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
 * Whether an event is news, and remembers it as told. False: the order's newer state (or this one)
 * went out already. Beyond PROGRESS_MAX orders, and where memory is out, the one told longest ago
 * is forgotten: it may be told again, with the id that it had.
 */
bool progress_advance(struct progress *progress, const struct envelope *envelope, uint64_t now_ms);
void progress_free(struct progress *progress);

#endif
