#include "consumer/pool/probe.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define REASON_MAX 256

int probe_init(struct probe *probe, const struct probe_targets *targets)
{
    uint32_t shards = targets->roster->shards;
    *probe = (struct probe){.targets = *targets};
    probe->facts = calloc(shards, sizeof *probe->facts);
    int code = readiness_init(&probe->readiness, shards);
    return probe->facts == NULL ? ERR_NOMEM : code;
}

void probe_free(struct probe *probe)
{
    free(probe->facts);
    readiness_free(&probe->readiness);
}

static bool sessions_up(const struct probe_targets *targets)
{
    bool all = pg_is_up(targets->control) && pg_is_up(targets->outbox);
    for (size_t i = 0; i < targets->session_count; i++)
        all = all && pg_is_up(targets->sessions[i]);
    return all;
}

static struct readiness_shard facts_of(const struct probe_targets *targets, uint32_t number,
                                       uint64_t now_ms)
{
    const struct shard *shard = &targets->shards[number];
    const struct roster *roster = targets->roster;
    return (struct readiness_shard){.assigned =
                                        roster->places[number].owner == targets->membership->id,
                                    .serving = ownership_serving(&shard->ownership),
                                    .epoch = roster->entries[number].epoch,
                                    .elsewhere = roster_elsewhere(roster, number),
                                    .channel_open = shard->channel.open,
                                    .fed = shard->channel.fed,
                                    .stalled_ms = shard_writer_stalled_ms(&shard->writer, now_ms)};
}

static void say(const struct readiness_verdict *verdict)
{
    if (verdict->cause == READINESS_READY) {
        log_info("ready");
        return;
    }
    struct buf text;
    buf_init(&text, REASON_MAX);
    readiness_say(verdict, &text);
    log_warning("not ready", LOG_STR("reason", buf_text(&text)));
    buf_free(&text);
}

bool probe_judge(struct probe *probe)
{
    const struct probe_targets *targets = &probe->targets;
    uint64_t now_ms = clock_mono_ms();
    const struct readiness_member member = {
        .leaving = targets->membership->leaving,
        .outdated = probe->outdated,
        .broker_up = broker_state(targets->broker) != BROKER_DOWN,
        .sessions_up = sessions_up(targets),
        .observed = liveness_steady(&targets->roster->liveness, now_ms)};
    for (uint32_t i = 0; i < targets->roster->shards; i++)
        probe->facts[i] = facts_of(targets, i, now_ms);
    struct readiness_verdict verdict =
        readiness_judge(&probe->readiness, &member, probe->facts, now_ms);
    if (verdict.cause != probe->verdict.cause)
        say(&verdict);
    probe->verdict = verdict;
    if (verdict.move)
        broker_move(targets->broker, "this node does not feed us");
    return verdict.cause == READINESS_READY;
}

bool probe_ready(const struct probe *probe, struct buf *ret_why)
{
    readiness_say(&probe->verdict, ret_why);
    return probe->verdict.cause == READINESS_READY;
}

void probe_fenced(struct probe *probe, uint32_t shard, int64_t epoch)
{
    readiness_fenced(&probe->readiness, shard, epoch, clock_mono_ms());
}

void probe_outdated(struct probe *probe)
{
    probe->outdated = true;
    probe->verdict = (struct readiness_verdict){.cause = READINESS_OUTDATED};
    say(&probe->verdict);
}
