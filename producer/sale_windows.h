/*
 * When items are on sale, as far as this process knows: those that open later or have closed, as
 * PostgreSQL showed them a moment ago. An item that is not among them passes; the consumer decides
 * by the same rule, over the time at which the order was accepted. Pure.
 */
#ifndef PRODUCER_SALE_WINDOWS_H
#define PRODUCER_SALE_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"

#define SALE_WINDOWS_MAX 2048 /* items that are kept */
#define SALE_WINDOWS_LIFE_MS                                                                       \
    5000 /* what was read longer ago says nothing: the sale may have moved */

struct sale_window {
    char sku[JOB_SKU_MAX + 1];
    int64_t opens_ms;  /* since 1970; 0: at any time */
    int64_t closes_ms; /* 0: never */
};

enum sale_state { SALE_OPEN, SALE_NOT_OPEN_YET, SALE_CLOSED };

/* All zero: nothing is known. */
struct sale_windows {
    struct sale_window *list; /* by SKU */
    size_t count;
    uint64_t read_ms; /* monotonic */
};

/* An empty list with room for `count` windows, to be filled in any order and then handed to
 * sale_windows_replace. NULL: no memory. */
struct sale_window *sale_windows_room(size_t count);
/* Takes the list over, sorts it and forgets the one before. */
void sale_windows_replace(struct sale_windows *windows, struct sale_window *list, size_t count,
                          uint64_t mono_ms);
void sale_windows_free(struct sale_windows *windows);

/* `now_ms`: the time at which the order is accepted. SALE_NOT_OPEN_YET: with the opening in
 * `ret_opens_ms`. */
enum sale_state sale_windows_judge(const struct sale_windows *windows, const char *sku,
                                   int64_t now_ms, uint64_t mono_ms, int64_t *ret_opens_ms);

#endif
