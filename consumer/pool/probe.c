#include "consumer/pool/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

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

/* Returns the first session that is missing, NULL: none. `ret_writer`: which of the shard writers.
 */
static const char *missing_session(const struct probe_targets *targets, size_t *ret_writer)
{
    if (!pg_is_up(targets->control))
        return "control";
    if (!pg_is_up(targets->outbox))
        return "outbox";
    for (size_t i = 0; i < targets->session_count; i++)
        if (!pg_is_up(targets->sessions[i])) {
            *ret_writer = i + 1;
            return "shard writer";
        }
    return NULL;
}

static void say_verdict(const struct probe *probe, struct buf *out)
{
    size_t writer = 0;
    const char *session = missing_session(&probe->targets, &writer);
    readiness_say(&probe->verdict, out);
    if (probe->verdict.cause == READINESS_STALLED) {
        const char *why = shard_writer_why(&probe->targets.shards[probe->verdict.shard].writer);
        if (why != NULL)
            (void)buf_printf(out, "the database refuses: %s\n", why);
    }
    if (probe->verdict.cause != READINESS_SESSION || session == NULL)
        return;
    (void)buf_printf(out, "the missing one: %s", session);
    if (writer > 0)
        (void)buf_printf(out, " %zu of %zu", writer, probe->targets.session_count);
    (void)buf_char(out, '\n');
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

static void say(const struct probe *probe)
{
    if (probe->verdict.cause == READINESS_READY) {
        log_info("ready");
        return;
    }
    struct buf text;
    buf_init(&text, PROBE_LACK_SIZE);
    say_verdict(probe, &text);
    log_warning("not ready", LOG_STR("reason", buf_text(&text)));
    buf_free(&text);
}

const char *probe_judge(struct probe *probe)
{
    const struct probe_targets *targets = &probe->targets;
    uint64_t now_ms = clock_mono_ms();
    size_t writer;
    const struct readiness_member member = {
        .leaving = targets->membership->leaving,
        .outdated = probe->outdated,
        .broker_up = broker_state(targets->broker) != BROKER_DOWN,
        .sessions_up = missing_session(targets, &writer) == NULL,
        .observed = liveness_steady(&targets->roster->liveness, now_ms)};
    for (uint32_t i = 0; i < targets->roster->shards; i++)
        probe->facts[i] = facts_of(targets, i, now_ms);
    struct readiness_verdict verdict =
        readiness_judge(&probe->readiness, &member, probe->facts, now_ms);
    bool changed = verdict.cause != probe->verdict.cause;
    probe->verdict = verdict;
    if (changed)
        say(probe);
    if (verdict.move)
        broker_move(targets->broker, "this node does not feed us");
    if (verdict.cause == READINESS_READY)
        return NULL;
    struct buf text;
    buf_init(&text, sizeof probe->lack);
    say_verdict(probe, &text);
    (void)snprintf(probe->lack, sizeof probe->lack, "%s", buf_text(&text));
    buf_free(&text);
    return probe->lack;
}

bool probe_ready(const struct probe *probe, struct buf *ret_why)
{
    say_verdict(probe, ret_why);
    return probe->verdict.cause == READINESS_READY;
}

const char *probe_node(const struct probe *probe)
{
    const struct broker *broker = probe->targets.broker;
    return broker_state(broker) == BROKER_DOWN ? NULL : broker_node(broker);
}

void probe_fenced(struct probe *probe, uint32_t shard, int64_t epoch)
{
    readiness_fenced(&probe->readiness, shard, epoch, clock_mono_ms());
}

void probe_outdated(struct probe *probe)
{
    probe->outdated = true;
    probe->verdict = (struct readiness_verdict){.cause = READINESS_OUTDATED};
    say(probe);
}
