/*
 * One shard of member STAGE_SELF, among scripted servers: what several tests of a shard's life
 * begin with. A fixture of Check: stage_setup, stage_teardown.
 */
#ifndef TESTS_FAKE_STAGE_SHARD_H
#define TESTS_FAKE_STAGE_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/shard/shard.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

/* A row of checkout.output: a charge to make. */
#define STAGE_CHARGED(order)                                                                       \
    "charge|" order "|s|1|1000|usd|pm|null|null|null|0|null|null|null|null|null|null|null|null|"   \
    "null|null|null|null|null|null|null|null"
#define STAGE_QUEUE "checkout.jobs.1.0"
#define STAGE_SELF 11
#define STAGE_OTHER 12
#define STAGE_REOPEN_MS 31000 /* longer than any backoff of the channel */

extern struct stage {
    struct metrics *metrics;
    struct stats stats;
    struct shard_context context;
    struct shard_membership membership;
    struct shard shard;
    struct pg *session, *outbox;
    struct redis *redis;
    unsigned released, waits, outdated; /* calls of the membership's callbacks */
    int64_t fenced_epoch;
} stage;

void stage_setup(void);
void stage_teardown(void);
/* The channel that consumes our queue: there is one. */
struct broker_channel *stage_channel(void);
bool stage_has_channel(void);
/* We are standby of STAGE_OTHER's shard, and consume behind it. */
void stage_stand_by(void);
/* A message with one good job arrives. */
void stage_deliver(void);
/* The session with the database is lost. */
void stage_lose_session(void);
/* The broker's session for dead letters, connected; its channel is not open yet. */
struct broker *stage_dead_letters(void);
/* The take-over is answered with this epoch, and what it finds open with nothing. */
void stage_taken(const char *epoch);
/* Something came of the order's payment. */
void stage_came(enum outcome_kind kind, const char *id);
/* Answers with nothing done until no query is left: commands, expiries, the clock. */
void stage_settle(void);
/* We serve the shard under epoch 7, and nothing is under way, nor to be relayed. */
void stage_serve(void);
void stage_assert_state(enum ownership_state state);
/* The decision of the jobs is the oldest query; others before it are answered. */
void stage_expect_decide(const char *epoch);

#endif
