/*
 * A shard's channel: open where we own the shard or stand by, opened again with backoff when it is
 * lost, fed by the broker into the intake, acknowledged batch by batch. It knows nothing of epochs.
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
    bool quiet;  /* the shard is being released: none is opened until that has ended */
    bool fed;    /* the broker delivers to us */
    bool open;   /* the broker has said that we consume */
    struct broker_channel *channel; /* NULL: none */
    struct backoff backoff;
    struct loop_timer *reopen;
};

/* 0 or ERR_NOMEM. Everything passed must outlive it. */
MUST_CHECK int shard_channel_init(struct shard_channel *channel, struct loop *loop,
                                  struct broker *broker, struct intake *intake,
                                  const struct shard_channel_events *events, void *arg);
void shard_channel_free(struct shard_channel *channel);

/* A channel is wanted from now on, or not: then one that is there stays until it is closed. */
void shard_channel_want(struct shard_channel *channel, bool wanted);
/* The broker's connection came up. (Its loss closes the channel.) */
void shard_channel_broker_up(struct shard_channel *channel);
/* What was not begun goes back to the broker, in order. */
void shard_channel_close(struct shard_channel *channel);
/* Closes it and stands behind again, if one is wanted. */
void shard_channel_reopen(struct shard_channel *channel);
/* None is opened for so long, unless the connection is lost meanwhile. */
void shard_channel_pause(struct shard_channel *channel, uint64_t ms);
/* The broker feeds consumers in the order in which their channels were opened: a standby makes room
 * for a new owner, or it would be fed first when the shard is released. */
void shard_channel_stand_behind(struct shard_channel *channel);
/* Acknowledges `tag` and all before it. */
void shard_channel_ack(struct shard_channel *channel, uint64_t tag);

#endif
