/*
 * The number of shards in service. PostgreSQL holds it; `checkoutctl topology` sets it. Programs
 * follow it unless CHECKOUT_SHARDS says another number, which is then an error.
 */
#ifndef COMMON_SHOP_SHARDS_SERVING_H
#define COMMON_SHOP_SHARDS_SERVING_H

#include <stdint.h>

#include "common/net/pg/pg.h"

/* What `topology` puts into service where nothing is and no setting says: the best number on one
 * host (docs/performance.md). */
#define SHARDS_FIRST 2
#define SHARDS_MAX 1024

#define SHARDS_NONE_SERVE "no shards are in service yet: run `checkoutctl topology`"

/* Without parameters. */
extern const struct pg_statement shards_serving;
/* Its answer (PG_OK); 0: none are in service. */
uint32_t shards_serving_read(const struct pg_result *result);

#endif
