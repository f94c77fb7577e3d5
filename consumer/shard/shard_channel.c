#include "consumer/shard/shard_channel.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

#define REOPEN_FIRST_MS 100
#define REOPEN_MAX_MS 30000

static const struct broker_channel_events channel_events;

static void reopen_later(struct shard_channel *c)
{
    loop_timer_start(c->reopen, backoff_next(&c->backoff), 0);
}

static void open_channel(void *arg)
{
    struct shard_channel *c = arg;
    if (c->channel != NULL || !c->wanted || c->quiet || broker_state(c->broker) == BROKER_DOWN)
        return; /* a release ends with a new channel */
    char queue[SHARD_NAME_SIZE];
    shard_queue(c->shards, c->shard, queue);
    if (broker_consumer_open(c->broker, queue, SHARD_PREFETCH, JOB_MESSAGE_ACCEPT, &channel_events,
                             c, &c->channel) < 0)
        reopen_later(c);
}

void shard_channel_close(struct shard_channel *c)
{
    broker_channel_close(c->channel);
    c->channel = NULL;
    c->fed = false;
    c->open = false;
    intake_forget(c->intake);
    c->events->emptied(c->arg);
}

void shard_channel_reopen(struct shard_channel *c)
{
    shard_channel_close(c);
    if (c->wanted)
        reopen_later(c);
    else
        loop_timer_stop(c->reopen);
}

void shard_channel_pause(struct shard_channel *c, uint64_t ms)
{
    loop_timer_start(c->reopen, ms, 0);
}

void shard_channel_stand_behind(struct shard_channel *c)
{
    if (c->channel == NULL || c->fed)
        return;
    shard_channel_close(c);
    loop_timer_start(c->reopen, REOPEN_FIRST_MS, 0);
}

void shard_channel_want(struct shard_channel *c, bool wanted)
{
    c->wanted = wanted;
    if (wanted && !loop_timer_active(c->reopen))
        open_channel(c);
}

void shard_channel_broker_up(struct shard_channel *c)
{
    backoff_reset(&c->backoff);
    loop_timer_stop(c->reopen);
    open_channel(c);
}

void shard_channel_ack(struct shard_channel *c, uint64_t tag)
{
    if (c->channel != NULL && !SEEDED_BUG_IS(ACK_EARLY))
        broker_ack(c->channel, tag, true);
}

/* ---- what the broker says ---- */

static void opened(void *arg)
{
    struct shard_channel *c = arg;
    c->open = true;
    c->events->opened(c->arg);
}

/* Closed by the broker, or with the connection. Settling goes on as long as the epoch holds. */
static void closed(const char *reason, void *arg)
{
    struct shard_channel *c = arg;
    log_warning("shard channel closed", LOG_INT("shard", c->shard), LOG_STR("reason", reason));
    shard_channel_reopen(c);
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct shard_channel *c = arg;
    backoff_reset(&c->backoff);
    if (SEEDED_BUG_IS(NACK) && broker_seed_nack(c->channel, delivery->tag))
        return;
    SEEDED_BUG(ACK_EARLY, broker_ack(c->channel, delivery->tag, false); seeded_bug_pause(20));
    c->fed = true;
    if (intake_push(c->intake, delivery->tag, delivery->body, delivery->body_len,
                    delivery->body_size) < 0) {
        shard_channel_reopen(c);
        return;
    }
    FAILPOINT(DELIVERED);
    c->events->delivered(c->arg);
}

static const struct broker_channel_events channel_events = {
    .opened = opened, .closed = closed, .delivered = delivered};

/* ---- */

int shard_channel_init(struct shard_channel *c, struct loop *loop, struct broker *broker,
                       struct intake *intake, const struct shard_channel_events *events, void *arg)
{
    *c = (struct shard_channel){.broker = broker,
                                .intake = intake,
                                .events = events,
                                .arg = arg,
                                .shards = intake->shards,
                                .shard = intake->shard};
    backoff_init(&c->backoff, REOPEN_FIRST_MS, REOPEN_MAX_MS, clock_mono_us() + c->shard);
    c->reopen = loop_timer_new(loop, open_channel, c);
    return c->reopen == NULL ? ERR_NOMEM : 0;
}

void shard_channel_free(struct shard_channel *c)
{
    loop_timer_free(c->reopen);
}
