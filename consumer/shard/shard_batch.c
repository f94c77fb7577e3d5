#include "consumer/shard/shard_batch.h"

#include "common/base/log.h"
#include "common/testing/failpoint.h"

void shard_batch_init(struct shard_batch *batch, struct intake *intake, struct deadletter *dead,
                      const struct shard_batch_events *events, void *arg)
{
    *batch = (struct shard_batch){.intake = intake, .dead = dead, .events = events, .arg = arg};
}

void shard_batch_forget(struct shard_batch *batch)
{
    batch->number++;
    batch->unconfirmed = 0;
}

static void finish(struct shard_batch *batch)
{
    uint64_t tag = intake_close_batch(batch->intake);
    shard_batch_forget(batch);
    FAILPOINT(ACK);
    batch->events->ack(tag, batch->arg);
    FAILPOINT_SOON(ACK_SENT);
}

static void dead_letter_safe(uint64_t cookie, void *arg)
{
    struct shard_batch *batch = arg;
    if (cookie != batch->number)
        return; /* the batch is forgotten; its messages come again */
    if (--batch->unconfirmed > 0)
        return;
    FAILPOINT(DEAD_CONFIRMED);
    finish(batch);
    batch->events->went_on(batch->arg);
}

void shard_batch_decided(struct shard_batch *batch)
{
    const struct intake_batch *decided = &batch->intake->batch;
    if (decided->dead_count == 0) {
        finish(batch);
        return;
    }
    batch->unconfirmed = decided->dead_count;
    for (size_t i = 0; i < decided->dead_count; i++) {
        const struct intake_dead *dead = &decided->dead[i];
        log_warning("unreadable message or job: sending it to the dead letters",
                    LOG_INT("shard", batch->intake->shard), LOG_STR("reason", dead->reason));
        if (deadletter_send(batch->dead, dead->body, dead->len, dead->reason, batch->number,
                            dead_letter_safe, batch) < 0) {
            batch->events->failed(batch->arg);
            return;
        }
    }
    FAILPOINT(DEAD_SENT);
}
