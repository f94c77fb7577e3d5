/*
 * How the shop stands, as metrics: waitlists, hot items, daemons, unclear money, shards without an
 * owner.
 * The notifier shows it because it lives when no consumer does. Each notifier shows the whole
 * shop.
 */
#ifndef NOTIFIER_SHOP_H
#define NOTIFIER_SHOP_H

#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "common/service/metrics.h"

struct shop;

/* Asks through `pg` every 5 s, or more seldom where that takes long. Both must outlive it. While
 * the database does not answer, the metrics stay as they were. NULL: no memory. */
struct shop *shop_new(struct loop *loop, struct pg *pg, struct metrics *metrics);
void shop_free(struct shop *shop); /* NULL is allowed */

#endif
