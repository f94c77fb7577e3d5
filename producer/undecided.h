/*
 * How long accepted orders wait for their decision, as a metric that lives when no consumer does:
 * this process remembers a few of the orders that it has accepted, and asks PostgreSQL whether they
 * are decided. The orders of a shard are decided in their order, so what came before one that is
 * decided needs no look (a job that is lost, or set aside, has its own alarm).
 */
#ifndef PRODUCER_UNDECIDED_H
#define PRODUCER_UNDECIDED_H

#include <stdint.h>

#include "producer/api.h"

struct undecided;

/* Asks api->sessions.reads every 2 s. NULL: no memory. */
struct undecided *undecided_new(struct api *api);
void undecided_free(struct undecided *undecided); /* NULL is allowed; before the sessions close */

/* An order of one of so many shards has its 202. */
void undecided_add(struct undecided *undecided, uint32_t shards, const char *sku,
                   const char *order_id);

#endif
