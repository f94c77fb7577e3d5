/*
 * The writer of a shard: its writing transactions, one at a time. All work that gathers meanwhile
 * goes into the next one. Ended payments, jobs, commands, waitlists with more to settle and orders
 * that waited too long take turns, so none of them delays the others.
 */
#ifndef CONSUMER_SHARD_SHARD_WRITER_H
#define CONSUMER_SHARD_SHARD_WRITER_H

#include "consumer/shard/shard_work.h"

/* 0 or ERR_NOMEM. Everything passed must outlive the writer; place.epoch is 0. */
MUST_CHECK int shard_writer_init(struct shard_writer *writer, struct loop *loop,
                                 const struct orders_db_place *place, int64_t wait_ms,
                                 struct intake *intake, struct stats *stats,
                                 const struct shard_writer_events *events, void *arg);
void shard_writer_free(struct shard_writer *writer);

/* Opens it under a new epoch. */
void shard_writer_open(struct shard_writer *writer, int64_t epoch);
/* The epoch is over, or its session lost: forgets settlements and waitlists (the next owner finds
 * them in the tables). A transaction in flight may still get its answer. */
void shard_writer_close(struct shard_writer *writer);
/* Starts the next transaction if none is in flight. */
void shard_writer_kick(struct shard_writer *writer);
/* How long there has been work without a commit; 0: no work. */
uint64_t shard_writer_stalled_ms(const struct shard_writer *writer, uint64_t now_ms);
/* Why the database refused its last transaction: SQLSTATE and message; NULL: it did not, or another
 * was committed since. */
const char *shard_writer_why(const struct shard_writer *writer);
/* No transaction in flight, no ended payment waiting, no open batch. */
bool shard_writer_idle(const struct shard_writer *writer);

/* Something came of a payment or refund; it is copied. 0 or ERR_NOMEM. */
MUST_CHECK int shard_writer_add_outcome(struct shard_writer *writer, const struct outcome *outcome);
/* Payments stop (`why`: static), and with them the clock of waiting orders; or (NULL) both go
 * on. */
void shard_writer_stop_payments(struct shard_writer *writer, const char *why);
/* The waitlist of `sku` has more to settle; orders on it have waited too long. */
void shard_writer_add_waitlist(struct shard_writer *writer, const char *sku);
void shard_writer_add_expired(struct shard_writer *writer, const char *sku);

#endif
