/*
 * A shard's channel: open where we own the shard or stand by, reopened with backoff when it is
 * lost. The broker feeds it into the intake, and it acknowledges batch by batch. It knows nothing
 * of epochs.
 */
#ifndef CONSUMER_SHARD_SHARD_CHANNEL_H
#define CONSUMER_SHARD_SHARD_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/backoff.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "consumer/shard/intake.h"

struct shard_channel_events {
    void (*opened)(void *arg);
    void (*delivered)(void *arg); /* it is in the intake */
    void (*emptied)(void *arg);   /* deliveries and tags are void, the intake is empty */
};

struct shard_channel {
    struct broker *broker;
    struct intake *intake;
    const struct shard_channel_events *events;
    void *arg;
    uint32_t shards;
    uint32_t shard;
    bool wanted; /* keep one open */
    bool quiet;  /* the shard is being released: open none until that has ended */
    bool fed;    /* the broker delivers to us */
    bool open;   /* the broker has confirmed that we consume */
    struct broker_channel *channel; /* NULL: none */
    struct backoff backoff;
    struct loop_timer *reopen;
};

/* 0 or ERR_NOMEM. Everything passed must outlive it. */
MUST_CHECK int shard_channel_init(struct shard_channel *channel, struct loop *loop,
                                  struct broker *broker, struct intake *intake,
                                  const struct shard_channel_events *events, void *arg);
void shard_channel_free(struct shard_channel *channel);

/* Whether to keep a channel from now on; if not, a present one stays until it is closed. */
void shard_channel_want(struct shard_channel *channel, bool wanted);
/* The broker's connection came up. (Its loss closes the channel.) */
void shard_channel_broker_up(struct shard_channel *channel);
/* Undecided deliveries go back to the broker, in order. */
void shard_channel_close(struct shard_channel *channel);
/* Closes it and, if one is wanted, opens a new one, last in the broker's order. */
void shard_channel_reopen(struct shard_channel *channel);
/* Opens none for so long, unless the connection is lost meanwhile. */
void shard_channel_pause(struct shard_channel *channel, uint64_t ms);
/* The broker feeds the consumer that opened its channel first: a standby makes room for a new
 * owner, otherwise the broker would feed it first after the release. */
void shard_channel_stand_behind(struct shard_channel *channel);
/* Acknowledges `tag` and all before it. */
void shard_channel_ack(struct shard_channel *channel, uint64_t tag);

#endif
