/*
 * Looks whether this member can do its job, before each heartbeat: gathers what readiness.h judges,
 * says what has changed, and connects to another node of the broker where that may help.
 */
#ifndef CONSUMER_POOL_PROBE_H
#define CONSUMER_POOL_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/net/amqp/broker.h"
#include "common/net/pg/pg.h"
#include "consumer/pool/readiness.h"
#include "consumer/pool/roster.h"
#include "consumer/shard/shard.h"

/* What is looked at; all of it outlives the probe. */
struct probe_targets {
    struct broker *broker;
    const struct shard_membership *membership;
    const struct roster *roster;
    const struct shard *shards;
    const struct pg *control;
    const struct pg *outbox;
    struct pg *const *sessions;
    size_t session_count;
};

struct probe {
    struct probe_targets targets;
    struct readiness readiness;
    struct readiness_shard *facts; /* scratch */
    struct readiness_verdict verdict;
    bool outdated;
};

/* 0 or ERR_NOMEM; probe_free is allowed after either. */
MUST_CHECK int probe_init(struct probe *probe, const struct probe_targets *targets);
void probe_free(struct probe *probe);

/* Whether we are ready. */
bool probe_judge(struct probe *probe);
/* The newest judgement; if it is not ready, why. */
bool probe_ready(const struct probe *probe, struct buf *ret_why);
/* As readiness_fenced. */
void probe_fenced(struct probe *probe, uint32_t shard, int64_t epoch);
/* A task was met that this version does not know: not ready until it is replaced. */
void probe_outdated(struct probe *probe);

#endif
