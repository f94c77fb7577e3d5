/*
 * What follows a transaction of a shard's writer that the database refused: less at once, another
 * item first, the item set aside, or the same later.
 */
#ifndef CONSUMER_SHARD_SHARD_FAILURE_H
#define CONSUMER_SHARD_SHARD_FAILURE_H

#include <stdbool.h>

#include "consumer/shard/shard_work.h"

/* Of an answer other than done, fenced and lost. Returns whether the next transaction may start;
 * otherwise writer->retry is started. */
bool shard_failure(struct shard_writer *writer, enum shard_writer_work work,
                   enum orders_db_status status, const struct pg_result *result);
/* It could not even be sent, or only the shard's own row is in the way: later. */
void shard_failure_later(struct shard_writer *writer, enum shard_writer_work work,
                         const char *problem);
/* What was in flight when the session or the epoch ended is not recorded. */
void shard_failure_again(struct shard_writer *writer);

#endif
