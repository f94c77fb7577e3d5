/*
 * One shard as this process sees it: its channel (open where we own or stand by), and whether we
 * serve it. Serving begins with a take-over, which bumps the shard's epoch before anything else,
 * and ends by giving it back, by being fenced off, or by the loss of the database session that the
 * epoch belongs to.
 */
#ifndef CONSUMER_SHARD_SHARD_H
#define CONSUMER_SHARD_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/backoff.h"
#include "common/base/loop.h"
#include "common/net/amqp/broker.h"
#include "common/shop/ids.h"
#include "consumer/money/latelook.h"
#include "consumer/money/payer.h"
#include "consumer/money/refunder.h"
#include "consumer/relay/relay.h"
#include "consumer/shard/dead_letter.h"
#include "consumer/shard/shard_writer.h"
#include "consumer/stats.h"

/* What all shards share; everything outlives them. */
struct shard_context {
    struct loop *loop;
    struct broker *broker;
    struct ids *ids;
    struct payer *payer;
    struct refunder *refunder;
    struct latelook *latelook;
    struct relay *relay;
    struct admission_keys *gatekeys;
    struct deadletter *dead;
    struct stats *stats;
    uint32_t shards;
    int64_t wait_ms;
    int64_t member;                           /* our id in the pool; 0: not joined yet */
    bool leaving;                             /* nothing is taken over any more */
    void (*stuck)(uint32_t shard, void *arg); /* a take-over waits for the holder before */
    void (*released)(uint32_t shard, void *arg);
    void *arg;
};

enum shard_state {
    SHARD_NOT_OURS,
    SHARD_TAKING, /* the epoch's bump is on its way */
    SHARD_SERVING,
    SHARD_YIELDING,  /* no new jobs; finishing what was begun */
    SHARD_RELEASING, /* giving it back in PostgreSQL is on its way */
};

struct shard {
    struct shard_context *context;
    uint32_t number;
    struct pg *session;
    enum shard_state state;
    int64_t named;     /* the owner by the ranking */
    bool wanted;       /* we are its named owner or standby: keep a channel */
    bool resume;       /* we served it when the session was lost: take it over anew, … */
    int64_t served;    /* … if it is still at this epoch */
    bool had_delivery; /* the broker feeds us: take it over as soon as that can be done */
    struct broker_channel *channel;
    struct backoff backoff;
    struct loop_timer *reopen; /* the channel */
    struct loop_timer *stuck;
    struct loop_timer *yielding; /* looks whether what was begun is finished */
    uint64_t yield_deadline_ms;
    uint64_t batch_number; /* cookie of its dead letters */
    size_t dead_unconfirmed;
    struct intake intake;
    struct shard_writer writer;
    uint64_t taken_ms; /* monotonic: when serving began */
};

/* 0 or ERR_NOMEM. */
MUST_CHECK int shard_init(struct shard *shard, struct shard_context *context, uint32_t number,
                          struct pg *session);
void shard_free(struct shard *shard);

/* The ranking names `owner`, and wants us on this shard (as owner or standby), or not. */
void shard_want(struct shard *shard, int64_t owner, bool wanted);
/* The broker's connection came up. (Its loss closes the channels.) */
void shard_bus_up(struct shard *shard);
/* The shard's database session came up, or was lost. */
void shard_session_up(struct shard *shard);
void shard_session_lost(struct shard *shard);

/* Takes it over, unless that is under way or done; `seen` as of orders_db_take_over. `why` is for
 * the log. */
void shard_take_over(struct shard *shard, const char *why, int64_t seen);
/* What a look into PostgreSQL shows: a later epoch than ours fences us off. Takes over again what a
 * lost answer or session has left undone. */
void shard_seen(struct shard *shard, int64_t epoch);
/* We are not the member any more that the shard's epoch was given to. */
void shard_disown(struct shard *shard);
/* Gives it back: finishes what was begun, for up to `patience_ms` also the payments in flight. */
void shard_yield(struct shard *shard, const char *why, uint64_t patience_ms);
/* We hold an epoch (or are getting one). */
bool shard_held(const struct shard *shard);
bool shard_serving(const struct shard *shard);

/* A payment of it has ended. */
void shard_payment_ended(struct shard *shard, const char *order_id, int64_t attempt,
                         const char *state, const char *intent, const char *code);
/* Something is to be recorded about a refund of it, as shard_writer_add_refund. */
void shard_refund_ended(struct shard *shard, const char *order_id, int64_t attempt,
                        const char *state, const char *ref, int64_t amount, const char *code);
/* As shard_writer_stop_payments. */
void shard_stop_payments(struct shard *shard, const char *why);
/* What the sweep found. */
void shard_found_expired(struct shard *shard);
void shard_found_commands(struct shard *shard);
void shard_found_line(struct shard *shard, const char *sku);
/* A payment to charge, to give back, or to look at. */
void shard_found_payment(struct shard *shard, const struct orders_db_effect *effect);

#endif
