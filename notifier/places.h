/*
 * Tells buyers who wait their place in line, while it moves. For each item that a connected buyer
 * waits for it listens to one channel of Redis, and reads the line from PostgreSQL when that is not
 * enough: at the beginning, when somebody has left in the middle, and where Redis is silent. No
 * buyer costs a query but the one that finds the ticket of an order. A place that was
 * sent never rises, and is never below the true one.
 */
#ifndef NOTIFIER_PLACES_H
#define NOTIFIER_PLACES_H

#include <stddef.h>

#include "common/base/loop.h"
#include "common/net/pg/pg.h"
#include "notifier/envelope.h"
#include "notifier/session.h"
#include "notifier/stats.h"

#define PLACES_OF_SESSION 64 /* orders of one socket whose place is sent */

struct places;

/* Where the lines are heard. Both must outlive the places. */
struct places_channels {
    int (*listen)(const char *sku, void *arg); /* 0, or an error: then they are only read */
    void (*unlisten)(const char *sku, void *arg);
    void *arg;
};

/* Reads by `pg`. NULL: no memory. */
struct places *places_new(struct loop *loop, struct pg *pg, const struct places_channels *channels,
                          struct stats *stats);
/* After all sessions were forgotten. NULL is allowed. */
void places_free(struct places *places);

/* An event of an order has gone out to the session: the order waits, or does not wait any more. */
void places_pushed(struct places *places, struct session *session, const struct envelope *envelope);
/* The session ends. */
void places_forget(struct places *places, struct session *session);
/* A message of the line of `sku` has come. */
void places_heard(struct places *places, const char *sku, size_t sku_len, const char *text,
                  size_t len);

#endif
