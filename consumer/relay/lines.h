/*
 * Tells the notifiers how the lines of our items stand: one message for each line that moved, once
 * a second at most, and one every 5 s for each that did not, so that a lost message is soon made
 * good. It reads the tables each time, so a take-over needs no memory. Advisory: nothing waits for
 * it.
 */
#ifndef CONSUMER_RELAY_LINES_H
#define CONSUMER_RELAY_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/net/redis/redis.h"
#include "consumer/stats.h"

struct lines;

/* All of these outlive it. NULL: no memory. */
struct lines *lines_new(struct loop *loop, uint32_t shards, struct pg *session, struct redis *redis,
                        struct stats *stats);
void lines_free(struct lines *lines);

/* Whether the items of the shard are ours. */
void lines_serve(struct lines *lines, uint32_t shard, bool serving);
/* Somebody joined the line of an item of ours, or may have left it. */
void lines_moved(struct lines *lines, const char *sku);

#endif
