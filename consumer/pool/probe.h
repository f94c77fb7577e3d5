/*
 * Checks before each heartbeat whether this member can do its job: it gathers the facts that
 * readiness.h judges, logs changes, and connects to another node of the broker if that may help.
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

#define PROBE_LACK_SIZE 384

/* The parts that it checks; all outlive the probe. */
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
    char lack[PROBE_LACK_SIZE]; /* the cause if not ready */
};

/* 0 or ERR_NOMEM; probe_free is allowed after either. */
MUST_CHECK int probe_init(struct probe *probe, const struct probe_targets *targets);
void probe_free(struct probe *probe);

/* Judges. Returns NULL if we are ready, else the cause, for people; valid until the next judgement.
 */
const char *probe_judge(struct probe *probe);
/* The newest judgement, with the cause if not ready. */
bool probe_ready(const struct probe *probe, struct buf *ret_why);
/* The node of the broker that we are connected to, NULL: none. Valid until the next turn. */
const char *probe_node(const struct probe *probe);
/* As readiness_fenced. */
void probe_fenced(struct probe *probe, uint32_t shard, int64_t epoch);
/* This version does not know a task: not ready until a newer program replaces it. */
void probe_outdated(struct probe *probe);

#endif
