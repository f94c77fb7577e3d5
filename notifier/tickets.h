/* Finds the tickets of orders that wait: many with one question, one question at a time. */
#ifndef NOTIFIER_TICKETS_H
#define NOTIFIER_TICKETS_H

#include "common/net/pg/pg.h"
#include "notifier/place.h"

struct tickets;

typedef void (*tickets_cb)(struct place *place, void *arg);

/* `found`: the place has its ticket. `missing`: the order does not wait. Both may forget their
 * place, no other. `pg` outlives the tickets. NULL: no memory. */
struct tickets *tickets_new(struct pg *pg, tickets_cb found, tickets_cb missing, void *arg);
/* After `pg` has been closed, or with no question in flight. NULL is allowed. */
void tickets_free(struct tickets *tickets);

/* The ticket of a new place is wanted. */
void tickets_want(struct tickets *tickets, struct place *place);
/* The place goes; it may have its ticket. */
void tickets_forget(struct tickets *tickets, struct place *place);
/* Asks for what is wanted, if no question is in flight. */
void tickets_ask(struct tickets *tickets);

#endif
