/*
 * Reads the milestones over a connection of its own, which is open only for that. RabbitMQ takes
 * nothing from a connection that has published during a memory or disk alarm, for as long as that
 * lasts; and until the milestones are read no program serves from a database that has started anew.
 */
#ifndef CONSUMER_MILESTONES_MILESTONE_FETCH_H
#define CONSUMER_MILESTONES_MILESTONE_FETCH_H

#include "common/shop/milestone_reader.h"

struct milestone_fetch;

/* What the options point to outlives it. NULL: no memory. */
struct milestone_fetch *milestone_fetch_new(struct loop *loop, const struct broker_options *options,
                                            milestone_reader_cb cb, void *arg);
/* Connects and reads; `cb` comes once, from the loop, within 15 s. Nothing happens while a reading
 * is under way. ERR_NOMEM. */
MUST_CHECK int milestone_fetch_start(struct milestone_fetch *fetch);
/* No callback comes any more. NULL is allowed. */
void milestone_fetch_free(struct milestone_fetch *fetch);

#endif
