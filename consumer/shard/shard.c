#include "consumer/shard/shard.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/database_version.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"
#include "consumer/shard/admission_keys.h"
#include "consumer/shard/output.h"

#define TAKE_OVER_SLOW_MS 2000
#define DRAIN_POLL_MS 20
#define OPEN_PAYMENTS_MAX 16384 /* the sweep finds the others */
#define OPEN_REFUNDS_MAX 512

/* ---- the state ---- */

static void serve(struct shard *shard);
static void release(struct shard *shard);
static void release_when_drained(struct shard *shard);

static void suspend(struct shard *shard)
{
    shard_writer_close(&shard->writer);
    relay_stop(shard->context->relay, shard->number);
}

/* The shard is not ours any more; its open work is in the tables. */
static void drop(struct shard *shard)
{
    suspend(shard);
    shard_money_forget(&shard->context->money, shard->number);
    shard_channel_reopen(&shard->channel);
}

static void drain(struct shard *shard)
{
    SEEDED_BUG(CANCEL, broker_seed_cancel(shard->channel.channel));
    shard->writer.taking = false;
    shard_money_hold(&shard->context->money, shard->number);
    release_when_drained(shard);
}

static void act(struct shard *shard, enum ownership_action action)
{
    switch (action) {
    case OWNERSHIP_SERVE:
        serve(shard);
        return;
    case OWNERSHIP_SUSPEND:
        suspend(shard);
        return;
    case OWNERSHIP_DRAIN:
        drain(shard);
        return;
    case OWNERSHIP_RELEASE:
        release(shard);
        return;
    case OWNERSHIP_DROP:
        drop(shard);
        return;
    case OWNERSHIP_IGNORE:
    case OWNERSHIP_GO_ON:
        return;
    }
}

/* The effects of a state while it lasts. */
static void entered(struct shard *shard)
{
    const struct ownership *ownership = &shard->ownership;
    const struct stats_shard *stats = &shard->context->stats->of_shard[shard->number];
    bool serving = ownership_serving(ownership);
    shard->channel.quiet =
        ownership->state == OWNERSHIP_YIELDING || ownership->state == OWNERSHIP_RELEASING;
    metric_set(stats->owned, serving);
    metric_set(stats->epoch, serving ? (double)ownership->epoch : 0);
    if (ownership->state == OWNERSHIP_TAKING)
        loop_timer_start(shard->take_over_slow, TAKE_OVER_SLOW_MS, TAKE_OVER_SLOW_MS);
    else
        loop_timer_stop(shard->take_over_slow);
    if (ownership->state != OWNERSHIP_YIELDING)
        loop_timer_stop(shard->draining);
}

/* The only place where the state changes. Returns false if the event has no meaning now. */
static bool enter(struct shard *shard, enum ownership_event event, int64_t epoch, const char *why)
{
    struct ownership *ownership = &shard->ownership;
    enum ownership_state from = ownership->state;
    bool served = ownership_serving(ownership);
    enum ownership_action action = ownership_happen(ownership, event, epoch, clock_mono_ms());
    if (action == OWNERSHIP_IGNORE)
        return false;
    log_info("shard", LOG_INT("shard", shard->number), LOG_STR("from", ownership_state_name(from)),
             LOG_STR("to", ownership_state_name(ownership->state)),
             LOG_INT("epoch", ownership->epoch), LOG_STR("why", why));
    metric_add(shard->context->stats->shards_owned,
               (double)ownership_serving(ownership) - (double)served);
    entered(shard);
    act(shard, action);
    return true;
}

/* ---- taking over ---- */

/* Takes it over for a reason of our own, if there is one. */
static void take_over_again(struct shard *shard)
{
    const char *why = ownership_wanted(&shard->ownership, shard->channel.fed);
    int64_t resume_epoch = shard->ownership.resume_epoch;
    if (why != NULL)
        shard_take_over(shard, why, resume_epoch == 0 ? ORDERS_DB_ANY_EPOCH : resume_epoch);
}

static void refused(struct shard *shard, const struct pg_result *result)
{
    if (database_version_refused(result))
        pg_reconnect(shard->session); /* it is refused and logs why; others serve what it served */
    else if (pg_status(result) == PG_ERROR)
        log_error("take-over refused by the database", LOG_INT("shard", shard->number),
                  LOG_STR("problem", pg_message(result)));
    else
        log_warning("take-over refused: another number of shards is in service",
                    LOG_INT("shards", shard->context->shards)); /* the next heartbeat reads it */
    (void)enter(shard, OWNERSHIP_REFUSED, 0, "not taken");
}

static void taken(const struct pg_result *result, void *arg)
{
    struct shard *shard = arg;
    if (shard->ownership.state != OWNERSHIP_TAKING)
        return;
    if (pg_status(result) == PG_LOST) { /* the next session tries again */
        (void)enter(shard, OWNERSHIP_ANSWER_LOST, 0, "database session lost");
    } else if (pg_status(result) != PG_OK || pg_rows(result) != 1) {
        refused(shard, result);
    } else if (pg_null(result, 0, 0)) {
        (void)enter(shard, OWNERSHIP_PASSED, 0, "another member took it meanwhile");
        take_over_again(shard); /* the broker may feed us by now */
    } else {
        FAILPOINT(TAKEN);
        shard->watermark = pg_int(result, 0, 1);
        (void)enter(shard, OWNERSHIP_TAKEN, pg_int(result, 0, 0), "taken over");
    }
}

void shard_take_over(struct shard *shard, const char *why, int64_t seen)
{
    const struct shard_membership *membership = shard->membership;
    if (ownership_held(&shard->ownership) || membership->id == 0 || membership->leaving ||
        shard->beyond_us || !pg_is_up(shard->session))
        return; /* the next session, or the next heartbeat, tries again */
    if (orders_db_take_over(shard->session, shard->context->shards, shard->number, membership->id,
                            seen, taken, shard) < 0)
        return;
    FAILPOINT(TAKE_OVER_SENT);
    (void)enter(shard, OWNERSHIP_ASKED, 0, why);
}

static void resume_payment(const struct task *task, void *arg)
{
    struct shard *shard = arg;
    shard_routing_payment(&shard->routing, task);
}

static void resume_unknown(uint32_t number, const char *kind, void *arg)
{
    (void)number;
    shard_unknown_task(arg, kind);
}

static void swept(const struct pg_result *result, void *arg)
{
    static const struct output_receiver receiver = {.task = resume_payment,
                                                    .unknown_task = resume_unknown};
    const struct shard *shard = arg;
    if (pg_status(result) == PG_OK) /* else the next sweep finds them */
        output_receive_tasks(result, shard->context->shards, &receiver, arg);
    FAILPOINT(TAKEN_SWEPT);
}

static void serve(struct shard *shard)
{
    const struct shard_context *context = shard->context;
    metric_add(context->stats->of_shard[shard->number].take_overs, 1);
    shard->writer.stopped = shard_money_stopped(&context->money);
    shard_writer_open(&shard->writer, shard->ownership.epoch);
    relay_start(context->relay, shard->number, shard->watermark);
    if (orders_db_resume_charges(shard->session, &shard->number, 1, 0, OPEN_PAYMENTS_MAX, NULL,
                                 swept, shard) < 0 ||
        orders_db_resume_refunds(shard->session, &shard->number, 1, 0, OPEN_REFUNDS_MAX, swept,
                                 shard) < 0)
        log_warning("open payments wait for the next sweep", LOG_INT("shard", shard->number));
    shard_writer_kick(&shard->writer);
}

static void take_over_slow(void *arg)
{
    const struct shard *shard = arg;
    shard->membership->take_over_waits(shard->number, shard->membership->arg);
}

/* ---- losing it, and releasing it ---- */

void shard_session_up(struct shard *shard)
{
    take_over_again(shard);
}

void shard_session_lost(struct shard *shard)
{
    (void)enter(shard, OWNERSHIP_SESSION_LOST, 0, "database session lost");
}

void shard_disown(struct shard *shard)
{
    (void)enter(shard, OWNERSHIP_SESSION_LOST, 0, "we are another member now");
}

static void fenced(struct shard *shard)
{
    log_warning("fenced: another member serves the shard", LOG_INT("shard", shard->number),
                LOG_INT("epoch", shard->ownership.epoch));
    shard->membership->fenced(shard->number, shard->ownership.epoch, shard->membership->arg);
    (void)enter(shard, OWNERSHIP_FENCED, 0, "fenced");
}

void shard_seen(struct shard *shard, int64_t epoch)
{
    if (ownership_behind(&shard->ownership, epoch))
        fenced(shard);
    else
        take_over_again(shard);
}

static void released(const struct pg_result *result, void *arg)
{
    struct shard *shard = arg;
    if (shard->ownership.state != OWNERSHIP_RELEASING)
        return;
    FAILPOINT(RELEASED);
    (void)enter(shard, OWNERSHIP_RELEASED, 0,
                pg_status(result) == PG_OK ? "released" : "unknown whether it is released");
    if (shard->pause_ms > 0)
        shard_channel_pause(&shard->channel, shard->pause_ms);
    shard->membership->released(shard->number, shard->membership->arg);
}

static void release(struct shard *shard)
{
    FAILPOINT(RELEASE);
    if (orders_db_release(&shard->writer.place, released, shard) < 0)
        (void)enter(shard, OWNERSHIP_RELEASED, 0, "release not sent");
    FAILPOINT(RELEASE_SENT);
}

/* Whether no open work is left. It waits for payments and events only a limited time: the next
 * owner finds them in the tables. */
static bool drained(const struct shard *shard)
{
    const struct shard_context *context = shard->context;
    if (!shard_writer_idle(&shard->writer))
        return false;
    return clock_mono_ms() >= shard->drain_until_ms ||
           (!shard_money_calling(&context->money, shard->number) &&
            relay_idle(context->relay, shard->number));
}

static void release_when_drained(struct shard *shard)
{
    if (!drained(shard)) {
        loop_timer_start(shard->draining, DRAIN_POLL_MS, 0);
        return;
    }
    relay_save(shard->context->relay);
    (void)enter(shard, OWNERSHIP_DRAINED, 0, "nothing is left to finish");
}

void shard_yield(struct shard *shard, const char *why, uint64_t patience_ms, uint64_t pause_ms)
{
    if (shard->ownership.state != OWNERSHIP_SERVING)
        return;
    shard->drain_until_ms = clock_mono_ms() + patience_ms;
    shard->pause_ms = pause_ms;
    (void)enter(shard, OWNERSHIP_YIELD, 0, why);
}

void shard_unknown_task(struct shard *shard, const char *kind)
{
    if (shard->beyond_us)
        return;
    log_error("unknown task from the database: releasing the shard; upgrade this program",
              LOG_INT("shard", shard->number), LOG_STR("kind", kind));
    shard->beyond_us = true;
    shard->membership->outdated(shard->membership->arg);
    shard_yield(shard, "an unknown task", 0, 0);
}

static void draining_due(void *arg)
{
    release_when_drained(arg);
}

void shard_want(struct shard *shard, int64_t owner, bool wanted)
{
    if (owner != shard->assigned && owner != shard->membership->id &&
        !ownership_held(&shard->ownership))
        shard_channel_stand_behind(&shard->channel);
    shard->assigned = owner;
    shard_channel_want(&shard->channel, wanted);
    if (!wanted && !ownership_held(&shard->ownership))
        shard_channel_close(&shard->channel);
}

/* ---- what its parts say ---- */

static void on_opened(void *arg)
{
    struct shard *shard = arg;
    if (shard->ownership.state == OWNERSHIP_SERVING)
        shard_writer_kick(&shard->writer);
}

static void on_delivered(void *arg)
{
    struct shard *shard = arg;
    if (shard->ownership.state == OWNERSHIP_SERVING)
        shard_writer_kick(&shard->writer);
    else
        take_over_again(shard);
}

static void on_emptied(void *arg)
{
    struct shard *shard = arg;
    shard_batch_forget(&shard->batch);
}

static const struct shard_channel_events channel_events = {
    .opened = on_opened, .delivered = on_delivered, .emptied = on_emptied};

static void on_ack(uint64_t tag, void *arg)
{
    struct shard *shard = arg;
    shard_channel_ack(&shard->channel, tag);
}

static void on_went_on(void *arg)
{
    struct shard *shard = arg;
    shard_writer_kick(&shard->writer);
}

static void on_batch_failed(void *arg)
{
    struct shard *shard = arg;
    shard_channel_reopen(&shard->channel);
}

static const struct shard_batch_events batch_events = {
    .ack = on_ack, .went_on = on_went_on, .failed = on_batch_failed};

static void on_fenced(void *arg)
{
    fenced(arg);
}

static void on_committed(void *arg)
{
    struct shard *shard = arg;
    relay_kick(shard->context->relay, shard->number);
}

static void on_pay(const struct task *task, void *arg)
{
    struct shard *shard = arg;
    shard_routing_payment(&shard->routing, task);
}

static void on_unknown_task(const char *kind, void *arg)
{
    shard_unknown_task(arg, kind);
}

static void on_item_changed(const char *sku, void *arg)
{
    const struct shard *shard = arg;
    admission_keys_changed(shard->context->admission_keys, sku);
}

static void on_batch_decided(void *arg)
{
    struct shard *shard = arg;
    shard_batch_decided(&shard->batch);
}

static void on_failed(const char *why, void *arg)
{
    struct shard *shard = arg;
    log_error("resetting shard: reopening its channel", LOG_INT("shard", shard->number),
              LOG_STR("reason", why));
    shard_channel_reopen(&shard->channel);
}

static const struct shard_writer_events writer_events = {.fenced = on_fenced,
                                                         .committed = on_committed,
                                                         .pay = on_pay,
                                                         .unknown_task = on_unknown_task,
                                                         .item_changed = on_item_changed,
                                                         .batch_decided = on_batch_decided,
                                                         .failed = on_failed};

/* ---- life ---- */

int shard_init(struct shard *shard, const struct shard_context *context,
               const struct shard_membership *membership, uint32_t number, struct pg *session)
{
    *shard = (struct shard){.context = context,
                            .membership = membership,
                            .number = number,
                            .session = session,
                            .routing = {.shard = number,
                                        .ownership = &shard->ownership,
                                        .writer = &shard->writer,
                                        .money = &context->money}};
    intake_init(&shard->intake, number, context->shards, context->ids);
    shard_batch_init(&shard->batch, &shard->intake, context->dead, &batch_events, shard);
    shard->take_over_slow = loop_timer_new(context->loop, take_over_slow, shard);
    shard->draining = loop_timer_new(context->loop, draining_due, shard);
    struct orders_db_place place = {.session = session, .shards = context->shards, .shard = number};
    int channel = shard_channel_init(&shard->channel, context->loop, context->broker,
                                     &shard->intake, &channel_events, shard);
    int writer = shard_writer_init(&shard->writer, context->loop, &place, context->wait_ms,
                                   &shard->intake, context->stats, &writer_events, shard);
    bool timers = shard->take_over_slow != NULL && shard->draining != NULL;
    return channel == 0 && writer == 0 && timers ? 0 : ERR_NOMEM;
}

void shard_free(struct shard *shard)
{
    intake_forget(&shard->intake);
    shard_writer_free(&shard->writer);
    shard_channel_free(&shard->channel);
    loop_timer_free(shard->take_over_slow);
    loop_timer_free(shard->draining);
}
