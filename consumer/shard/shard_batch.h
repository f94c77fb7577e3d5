/*
 * The end of a batch whose jobs are all decided: what could not be read is safe in checkout.dead
 * first, then the batch is acknowledged.
 */
#ifndef CONSUMER_SHARD_SHARD_BATCH_H
#define CONSUMER_SHARD_SHARD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "consumer/shard/dead_letter.h"
#include "consumer/shard/intake.h"

struct shard_batch_events {
    void (*ack)(uint64_t tag, void *arg); /* and all before it; the intake has no batch any more */
    void (*went_on)(void *arg); /* `ack` came late: its dead letters had to be waited for */
    void (*failed)(void *arg);  /* all of it has to come again; what is decided stays so */
};

struct shard_batch {
    struct intake *intake;
    struct deadletter *dead;
    const struct shard_batch_events *events;
    void *arg;
    uint64_t number; /* cookie of its dead letters */
    size_t unconfirmed;
};

/* Everything passed must outlive it. */
void shard_batch_init(struct shard_batch *batch, struct intake *intake, struct deadletter *dead,
                      const struct shard_batch_events *events, void *arg);
/* All jobs of intake->batch are decided. */
void shard_batch_decided(struct shard_batch *batch);
/* The intake has been emptied: answers about its dead letters count for nothing. */
void shard_batch_forget(struct shard_batch *batch);

#endif
