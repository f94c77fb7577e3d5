/*
 * One shard as this process sees it: whether it is ours (ownership.h), its channel
 * (shard_channel.h), its writer (shard_writer.h), and where its work goes (shard_routing.h). This
 * ties them together: taking over, losing, releasing.
 */
#ifndef CONSUMER_SHARD_SHARD_H
#define CONSUMER_SHARD_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/shop/ids.h"
#include "consumer/relay/relay.h"
#include "consumer/shard/dead_letter.h"
#include "consumer/shard/ownership.h"
#include "consumer/shard/shard_batch.h"
#include "consumer/shard/shard_channel.h"
#include "consumer/shard/shard_money.h"
#include "consumer/shard/shard_routing.h"
#include "consumer/shard/shard_writer.h"
#include "consumer/stats.h"

/* What all shards share; set once, and everything outlives them. */
struct shard_context {
    struct loop *loop;
    struct broker *broker;
    struct ids *ids;
    struct deadletter *dead;
    struct relay *relay;
    struct admission_keys *admission_keys;
    struct shard_money money;
    struct stats *stats;
    uint32_t shards;
    int64_t wait_ms;
};

/* Shared between the pool and its shards. */
struct shard_membership {
    int64_t id;                                         /* our id in the pool; 0: not joined yet */
    bool leaving;                                       /* no more take-overs */
    void (*take_over_waits)(uint32_t shard, void *arg); /* for the previous owner's lock */
    void (*released)(uint32_t shard, void *arg);
    void (*outdated)(void *arg); /* a shard has a task that this version does not know */
    void (*fenced)(uint32_t shard, int64_t epoch, void *arg); /* we served it under this one */
    void *arg;
};

struct shard {
    const struct shard_context *context;
    const struct shard_membership *membership;
    uint32_t number;
    struct pg *session;
    int64_t assigned; /* the owner by the assignment */
    int64_t watermark;
    bool beyond_us;    /* it has a task that this version does not know: never take it again */
    uint64_t pause_ms; /* of the channel, after the release */
    uint64_t drain_until_ms; /* how long a yield waits for payments in flight */
    struct loop_timer *take_over_slow;
    struct loop_timer *draining; /* checks whether open work has ended */
    struct ownership ownership;
    struct intake intake;
    struct shard_channel channel;
    struct shard_batch batch;
    struct shard_writer writer;
    struct shard_routing routing;
};

/* 0 or ERR_NOMEM; shard_free is allowed after either. */
MUST_CHECK int shard_init(struct shard *shard, const struct shard_context *context,
                          const struct shard_membership *membership, uint32_t number,
                          struct pg *session);
void shard_free(struct shard *shard);

/* The assignment names `owner`, and wants us on this shard (as owner or standby), or not. */
void shard_want(struct shard *shard, int64_t owner, bool wanted);
/* The shard's database session came up, or was lost. */
void shard_session_up(struct shard *shard);
void shard_session_lost(struct shard *shard);

/* Takes it over, unless this is under way or done; `seen` as of orders_db_take_over. `why` is for
 * the log. */
void shard_take_over(struct shard *shard, const char *why, int64_t seen);
/* The table shows this epoch: a later one than ours fences us. Repeats a take-over whose answer or
 * session was lost. */
void shard_seen(struct shard *shard, int64_t epoch);
/* We are no longer the member that owns the shard's epoch. */
void shard_disown(struct shard *shard);
/* Releases it: finishes what was begun, for up to `patience_ms` also the payments in flight. Then a
 * new channel stands behind, `pause_ms` after the release at the earliest. */
void shard_yield(struct shard *shard, const char *why, uint64_t patience_ms, uint64_t pause_ms);
/* It has a task of a kind that this version does not know: releases it for good. */
void shard_unknown_task(struct shard *shard, const char *kind);

#endif
