/* The shop's feed: final events with a cursor, complete and resumable although shards commit side
 * by side. */
#ifndef CONSOLE_FEED_H
#define CONSOLE_FEED_H

#include "console/call.h"

struct feed *feed_new(struct console *console); /* NULL: no memory */
/* Answers those that wait. NULL is allowed; close the sessions before. */
void feed_free(struct feed *feed);

void feed_get(struct call *call);
/* Nothing waits any more. */
void feed_drain(struct feed *feed);

#endif
