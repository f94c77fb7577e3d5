/* The consumer's metrics, and where its spans go. */
#ifndef CONSUMER_STATS_H
#define CONSUMER_STATS_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/service/metrics.h"
#include "common/shop/status.h"

/* Series of one shard, as this process sees it. */
struct stats_shard {
    struct metric *owned;
    struct metric *epoch;
    struct metric *jobs;
    struct metric *take_overs;
    struct metric *fenced;
    struct metric *payments;
    struct metric *relay_stuck_seconds;
};

struct spans;

struct stats {
    struct metrics *metrics;
    struct spans *spans; /* NULL: none are made */
    struct stats_shard *of_shard;
    struct metric *decide_seconds;
    struct metric *settle_seconds;
    struct metric *batches;
    struct metric *shards_owned;
    struct metric *dead_letters;
    struct metric *lost_jobs;
    struct metric *conflicts;
    struct metric *jobs_set_aside;
    struct metric *items_set_aside;
    struct metric *foreign_states;
    struct metric *payments_inflight;
    struct metric *payments_waiting;
    struct metric *payment_seconds;
    struct metric *payments_stopped;
    struct metric *payments_misconfigured;
    struct metric *refunds_open;
    struct metric *late_successes;
    struct metric *events_relayed;
    struct metric *lines_published;
    struct metric *relay_seconds;
    struct metric *decision_seconds;
    struct metric *outcome_seconds[ORDER_STATE_COUNT]; /* of final states; else NULL */
    struct metric *milestone_waits_seconds;
    struct metric *broker_up;
    struct metric *database_up;
    struct metric *redis_up;
};

/* An event of an order, for the buyers' side of the metrics. */
struct stats_event {
    int64_t sequence; /* 1: its decision */
    const char *status;
    int64_t after_ms;     /* since its order was accepted */
    const char *currency; /* NULL: its order has no price */
    int64_t amount;       /* in minor units */
};

/* Declares them all in `metrics`, which must outlive `stats`. 0 or ERR_NOMEM. */
MUST_CHECK int stats_init(struct stats *stats, struct metrics *metrics, uint32_t shards);
void stats_free(struct stats *stats);
/* `count` orders reached `status`; `reason` may be NULL. */
void stats_transition(struct stats *stats, const char *status, const char *reason, int64_t count);
/* An order's event was committed; call it once for each. */
void stats_event(struct stats *stats, const struct stats_event *event);
/* A command was executed; `state` "done" or "refused". */
void stats_command(struct stats *stats, const char *state);
/* The gateway answered; `outcome` of pay_outcome_text. */
void stats_payment(struct stats *stats, const char *outcome);
/* ... about a refund. */
void stats_refund(struct stats *stats, const char *outcome);

#endif
