#include "consumer/pool/readiness.h"

#include <stdlib.h>

#include "common/base/err.h"

int readiness_init(struct readiness *r, uint32_t shards)
{
    *r = (struct readiness){.shards = shards, .of_shard = calloc(shards, sizeof *r->of_shard)};
    return r->of_shard == NULL ? ERR_NOMEM : 0;
}

void readiness_free(struct readiness *r)
{
    free(r->of_shard);
    r->of_shard = NULL;
}

void readiness_fenced(struct readiness *r, uint32_t shard, int64_t epoch, uint64_t now_ms)
{
    struct readiness_memory *memory = &r->of_shard[shard];
    memory->fenced_epoch = epoch;
    memory->fenced_open_ms = memory->open_since_ms == 0 ? 0 : now_ms - memory->open_since_ms;
}

/* When a condition began to hold; 0 while it does not. */
static void keep_since(uint64_t *since_ms, bool holds, uint64_t now_ms)
{
    if (!holds)
        *since_ms = 0;
    else if (*since_ms == 0)
        *since_ms = now_ms;
}

static bool lasts(uint64_t since_ms, uint64_t now_ms, uint64_t at_most_ms)
{
    return since_ms != 0 && now_ms - since_ms >= at_most_ms;
}

/*
 * We lost the shard to another live member although it is assigned to us and the others saw our
 * heartbeats: a delivery has reached that member. If our channel was open meanwhile, the broker has
 * stopped feeding us. If we had just opened it, the other member may have been first by chance, but
 * not twice in a row, and not for longer than a hand-over takes.
 */
static bool unfed(struct readiness_memory *memory, const struct readiness_shard *shard,
                  bool observed, uint64_t now_ms)
{
    if (shard->fed && shard->serving)
        memory->failed_handovers = 0;
    if (memory->fenced_epoch == 0 || shard->epoch <= memory->fenced_epoch)
        return false; /* no loss, or our copy of the table is older */
    memory->fenced_epoch = 0;
    if (!shard->assigned || !shard->elsewhere || !observed)
        return false;
    if (memory->fenced_open_ms >= READINESS_FEED_MS)
        return true;
    if (memory->failed_handovers++ == 0)
        memory->first_handover_ms = now_ms;
    return lasts(memory->first_handover_ms, now_ms, READINESS_FEED_MS);
}

static enum readiness_cause judge_shard(struct readiness_memory *memory,
                                        const struct readiness_shard *shard,
                                        const struct readiness_member *member, uint64_t now_ms)
{
    keep_since(&memory->open_since_ms, shard->channel_open, now_ms);
    keep_since(&memory->closed_since_ms,
               member->broker_up && shard->assigned && !shard->channel_open, now_ms);
    keep_since(&memory->untaken_since_ms,
               member->sessions_up && shard->assigned && !shard->serving && !shard->elsewhere,
               now_ms);
    if (unfed(memory, shard, member->observed, now_ms))
        return READINESS_UNFED;
    if (lasts(memory->closed_since_ms, now_ms, READINESS_FEED_MS))
        return READINESS_CHANNEL;
    if (lasts(memory->untaken_since_ms, now_ms, READINESS_TAKE_MS))
        return READINESS_NOT_TAKEN;
    return shard->stalled_ms >= READINESS_COMMIT_MS ? READINESS_STALLED : READINESS_READY;
}

/* The first time costs only a new connection; soon after it, each further time costs more. */
static void hold(struct readiness *r, enum readiness_cause cause, uint32_t shard, uint64_t now_ms)
{
    uint64_t longer_ms = r->hold_ms == 0 ? READINESS_HOLD_MIN_MS : r->hold_ms * 2;
    if (longer_ms > READINESS_HOLD_MAX_MS)
        longer_ms = READINESS_HOLD_MAX_MS;
    bool first = r->incident_ms == 0 || now_ms - r->held_until_ms >= READINESS_HOLD_MAX_MS;
    r->hold_ms = first ? 0 : longer_ms;
    r->incident_ms = now_ms;
    r->held = cause;
    r->held_shard = shard;
    r->held_until_ms = now_ms + r->hold_ms;
}

static enum readiness_cause judge_member(struct readiness *r, const struct readiness_member *member,
                                         uint64_t now_ms)
{
    r->sessions_seen = r->sessions_seen || member->sessions_up;
    keep_since(&r->session_lost_ms, !member->sessions_up, now_ms);
    if (member->leaving)
        return READINESS_LEAVING;
    if (member->outdated)
        return READINESS_OUTDATED;
    if (!member->broker_up)
        return READINESS_BROKER;
    if (!member->sessions_up &&
        (!r->sessions_seen || lasts(r->session_lost_ms, now_ms, READINESS_SESSION_MS)))
        return READINESS_SESSION;
    return READINESS_READY;
}

struct readiness_verdict readiness_judge(struct readiness *r, const struct readiness_member *member,
                                         const struct readiness_shard *shards, uint64_t now_ms)
{
    struct readiness_verdict verdict = {.cause = judge_member(r, member, now_ms)};
    for (uint32_t i = 0; i < r->shards; i++) {
        enum readiness_cause cause = judge_shard(&r->of_shard[i], &shards[i], member, now_ms);
        if (cause == READINESS_READY || verdict.cause != READINESS_READY)
            continue;
        verdict.cause = cause;
        verdict.shard = i;
    }
    bool of_shard = verdict.cause >= READINESS_CHANNEL;
    bool anew = !r->troubled || now_ms - r->incident_ms >= READINESS_HOLD_MIN_MS;
    r->troubled = of_shard;
    if (of_shard && anew && now_ms >= r->held_until_ms) {
        hold(r, verdict.cause, verdict.shard, now_ms);
        verdict.move = verdict.cause == READINESS_CHANNEL || verdict.cause == READINESS_UNFED;
    } else if (verdict.cause == READINESS_READY && now_ms < r->held_until_ms) {
        verdict.cause = r->held;
        verdict.shard = r->held_shard;
    }
    return verdict;
}

void readiness_say(const struct readiness_verdict *verdict, struct buf *out)
{
    static const char *const lines[] = {
        [READINESS_READY] = "",
        [READINESS_LEAVING] = "leaving the pool",
        [READINESS_OUTDATED] = "the database has a task that this version does not know",
        [READINESS_BROKER] = "RabbitMQ is not connected",
        [READINESS_SESSION] = "a session with PostgreSQL that serving needs is missing",
        [READINESS_CHANNEL] = "RabbitMQ opens no channel",
        [READINESS_UNFED] =
            "RabbitMQ feeds another member, though the shard is assigned to this one",
        [READINESS_NOT_TAKEN] = "the shard is assigned to this member, and not taken over for 10 s",
        [READINESS_STALLED] = "there is work, and nothing has been committed for 10 s",
    };
    if (verdict->cause == READINESS_READY)
        return;
    (void)buf_str(out, lines[verdict->cause]);
    if (verdict->cause >= READINESS_CHANNEL)
        (void)buf_printf(out, " (shard %u)", verdict->shard);
    (void)buf_char(out, '\n');
}
