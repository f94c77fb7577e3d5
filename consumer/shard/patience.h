/*
 * How long a shard's transactions may take. Usually 1 s, which is 20 times what a full batch needs.
 * After one that took longer they may take only 200 ms for a while: it is cut into parts to find
 * the item whose work hangs, and each part that hangs delays the others. One item alone may take
 * the usual time again, at long intervals. If two items of a batch hang alike the database is slow,
 * and the bound doubles with each try. Pure.
 */
#ifndef CONSUMER_SHARD_PATIENCE_H
#define CONSUMER_SHARD_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_USUAL_MS 1000
#define PATIENCE_SHORT_MS 200
#define PATIENCE_MAX_MS 14000   /* below the answer timeout of the sessions */
#define PATIENCE_WHILE_MS 10000 /* after the newest timeout */

struct patience {      /* zeroed at first */
    uint64_t until_ms; /* monotonic: short until then */
    uint32_t short_ms;
};

bool patience_is_short(const struct patience *patience, uint64_t now_ms);
/* What the next transaction may take. */
uint32_t patience_ms(const struct patience *patience, uint64_t now_ms);
/* One has taken too long. */
void patience_timeout(struct patience *patience, uint64_t now_ms);
/* ... and so has another, of another item, or there is no other: it is the database. */
void patience_grow(struct patience *patience);
/* Jobs were decided, in this time: no more than twice as much from now on. */
void patience_passed(struct patience *patience, uint32_t took_ms);

#endif
