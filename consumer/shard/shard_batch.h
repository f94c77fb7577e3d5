/*
 * The end of a batch whose jobs are all decided: first its dead letters are safe in checkout.dead,
 * then the batch is acknowledged.
 */
#ifndef CONSUMER_SHARD_SHARD_BATCH_H
#define CONSUMER_SHARD_SHARD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "consumer/shard/dead_letter.h"
#include "consumer/shard/intake.h"

struct shard_batch_events {
    void (*ack)(uint64_t tag, void *arg); /* and all before it; the intake has no batch any more */
    void (*went_on)(void *arg);           /* `ack` came late, after its dead letters */
    void (*failed)(void *arg);            /* the broker must deliver it again; decisions stay */
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
/* The intake was emptied: ignores answers about its dead letters. */
void shard_batch_forget(struct shard_batch *batch);

#endif
