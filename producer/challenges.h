/*
 * Which items ask for a challenge, as far as this process knows: as PostgreSQL showed them a moment
 * ago. An item that is not among them passes; the consumer decides by the item itself. Pure.
 */
#ifndef PRODUCER_CHALLENGES_H
#define PRODUCER_CHALLENGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"

#define CHALLENGES_MAX 2048 /* items that are kept */
#define CHALLENGES_LIFE_MS                                                                         \
    5000 /* what was read longer ago says nothing: it may have been lifted                         \
          */

struct challenge {
    char sku[JOB_SKU_MAX + 1];
    char id[JOB_CHALLENGE_MAX + 1];
};

/* All zero: nothing is known. */
struct challenges {
    struct challenge *list; /* by SKU */
    size_t count;
    uint64_t read_ms; /* monotonic */
};

/* An empty list with room for `count`, to be filled with challenges_fill and then handed to
 * challenges_replace. NULL: no memory. */
struct challenge *challenges_room(size_t count);
/* False: such a SKU or challenge is too long for any order; nothing is filled. */
MUST_CHECK bool challenges_fill(struct challenge *place, const char *sku, const char *id);
/* Takes the list over, sorts it and forgets the one before. */
void challenges_replace(struct challenges *challenges, struct challenge *list, size_t count,
                        uint64_t mono_ms);
void challenges_free(struct challenges *challenges);

/* The challenge that the item asks for, valid until the list is replaced; NULL: none is known. */
const char *challenges_of(const struct challenges *challenges, const char *sku, uint64_t mono_ms);

#endif
