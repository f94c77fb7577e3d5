#include "consumer/shard/shard.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/shard.h"
#include "common/testing/failpoint.h"
#include "common/testing/seeded_bug.h"

#define REOPEN_FIRST_MS 100
#define REOPEN_MAX_MS 30000
#define STUCK_MS 2000
#define YIELD_POLL_MS 20
#define OPEN_PAYMENTS_MAX PAYER_MAX

static const char *state_name(enum shard_state state)
{
    static const char *const names[] = {
        [SHARD_NOT_OURS] = "not ours", [SHARD_TAKING] = "taking",       [SHARD_SERVING] = "serving",
        [SHARD_YIELDING] = "yielding", [SHARD_RELEASING] = "releasing",
    };
    return names[state];
}

/* The one place where the state changes. */
static void enter(struct shard *shard, enum shard_state state, const char *why)
{
    if (state == shard->state)
        return;
    log_info("shard", LOG_INT("shard", shard->number), LOG_STR("from", state_name(shard->state)),
             LOG_STR("to", state_name(state)), LOG_INT("epoch", shard->writer.place.epoch),
             LOG_STR("why", why));
    bool served = shard_serving(shard);
    shard->state = state;
    metric_add(shard->context->stats->shards_owned, (double)shard_serving(shard) - (double)served);
    const struct stats_shard *stats = &shard->context->stats->of_shard[shard->number];
    metric_set(stats->owned, shard_serving(shard));
    metric_set(stats->epoch, shard_serving(shard) ? (double)shard->writer.place.epoch : 0);
    if (state == SHARD_SERVING)
        shard->taken_ms = clock_mono_ms();
}

bool shard_serving(const struct shard *shard)
{
    return shard->state == SHARD_SERVING || shard->state == SHARD_YIELDING;
}

bool shard_held(const struct shard *shard)
{
    return shard->state != SHARD_NOT_OURS;
}

/* ---- the channel ---- */

static const struct broker_channel_events channel_events;

static void open_channel(struct shard *shard)
{
    if (shard->channel != NULL || !shard->wanted ||
        broker_state(shard->context->broker) == BROKER_DOWN || shard->state == SHARD_YIELDING ||
        shard->state == SHARD_RELEASING)
        return; /* a yield ends with a new channel */
    char queue[SHARD_NAME_SIZE];
    shard_queue(shard->context->shards, shard->number, queue);
    int code = broker_consumer_open(shard->context->broker, queue, SHARD_PREFETCH,
                                    JOB_MESSAGE_ACCEPT, &channel_events, shard, &shard->channel);
    if (code < 0)
        loop_timer_start(shard->reopen, backoff_next(&shard->backoff), 0);
}

/* Closes the channel from our side: what was not begun goes back to the broker, in order. */
static void close_channel(struct shard *shard)
{
    broker_channel_close(shard->channel);
    shard->channel = NULL;
    shard->had_delivery = false;
    shard->dead_unconfirmed = 0;
    shard->batch_number++;
    intake_forget(&shard->intake);
}

/* Closes it and stands behind again. */
static void reopen_channel(struct shard *shard)
{
    close_channel(shard);
    if (shard->wanted)
        loop_timer_start(shard->reopen, backoff_next(&shard->backoff), 0);
}

static void channel_opened(void *arg)
{
    struct shard *shard = arg;
    if (shard->state == SHARD_SERVING)
        shard_writer_kick(&shard->writer);
}

/* By the broker's doing, or with the connection. Settling goes on for as long as the epoch holds.
 */
static void channel_closed(const char *reason, void *arg)
{
    struct shard *shard = arg;
    log_warning("the shard's channel is closed", LOG_INT("shard", shard->number),
                LOG_STR("reason", reason));
    reopen_channel(shard);
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct shard *shard = arg;
    if (shard->state == SHARD_YIELDING || shard->state == SHARD_RELEASING)
        return; /* it goes back undecided: this channel acknowledges nothing behind it */
    backoff_reset(&shard->backoff);
    if (SEEDED_BUG_IS(NACK) && broker_seed_nack(shard->channel, delivery->tag))
        return;
    SEEDED_BUG(ACK_EARLY, broker_ack(shard->channel, delivery->tag, false); seeded_bug_pause(20));
    shard->had_delivery = true;
    if (intake_push(&shard->intake, delivery->tag, delivery->body, delivery->body_len,
                    delivery->body_size) < 0) {
        reopen_channel(shard);
        return;
    }
    FAILPOINT(DELIVERED);
    if (shard->state == SHARD_SERVING)
        shard_writer_kick(&shard->writer);
    else
        shard_take_over(shard, "a delivery", ORDERS_DB_ANY_EPOCH);
}

static const struct broker_channel_events channel_events = {
    .opened = channel_opened, .closed = channel_closed, .delivered = delivered};

/* The broker feeds consumers in the order in which their channels were opened: a standby makes room
 * for a new owner, or it would be fed first when the shard is given back. */
static void stand_behind(struct shard *shard)
{
    if (shard->channel == NULL || shard->had_delivery || shard->state != SHARD_NOT_OURS)
        return;
    close_channel(shard);
    loop_timer_start(shard->reopen, REOPEN_FIRST_MS, 0);
}

void shard_want(struct shard *shard, int64_t owner, bool wanted)
{
    if (owner != shard->named && owner != shard->context->member)
        stand_behind(shard);
    shard->named = owner;
    shard->wanted = wanted;
    if (wanted && !loop_timer_active(shard->reopen))
        open_channel(shard);
    else if (!wanted && !shard_held(shard))
        close_channel(shard);
}

void shard_bus_up(struct shard *shard)
{
    backoff_reset(&shard->backoff);
    loop_timer_stop(shard->reopen);
    open_channel(shard);
}

/* ---- taking over ---- */

static void swept(const struct pg_result *result, void *arg);
static void lose(struct shard *shard, const char *why);

static void not_taken(struct shard *shard, const struct pg_result *result)
{
    if (pg_status(result) == PG_ERROR)
        log_error("a shard cannot be taken over", LOG_INT("shard", shard->number),
                  LOG_STR("problem", pg_message(result)));
    else
        log_error("the database serves another number of shards: run checkoutctl topology, or "
                  "correct CHECKOUT_SHARDS",
                  LOG_INT("shards", shard->context->shards));
    lose(shard, "not taken");
}

/* The shard is at another epoch than the one that we went by. */
static void moved_on(struct shard *shard)
{
    if (shard->resume) { /* what we have of it in memory is of an epoch that is over */
        lose(shard, "another consumer has taken it over meanwhile");
        return;
    }
    enter(shard, SHARD_NOT_OURS, "it has moved on");
    if (shard->had_delivery) /* meanwhile the broker has begun to feed us */
        shard_take_over(shard, "a delivery", ORDERS_DB_ANY_EPOCH);
}

static void taken(const struct pg_result *result, void *arg)
{
    struct shard *shard = arg;
    struct shard_context *context = shard->context;
    loop_timer_stop(shard->stuck);
    if (shard->state != SHARD_TAKING)
        return;
    if (pg_status(result) == PG_LOST) { /* with the next session it is tried again */
        enter(shard, SHARD_NOT_OURS, "database session lost");
        return;
    }
    if (pg_status(result) != PG_OK || pg_rows(result) != 1) {
        not_taken(shard, result);
        return;
    }
    if (pg_null(result, 0, 0)) {
        moved_on(shard);
        return;
    }
    FAILPOINT(TAKEN);
    metric_add(context->stats->of_shard[shard->number].take_overs, 1);
    shard->writer.stopped = payer_stopped(context->payer);
    shard_writer_open(&shard->writer, pg_int(result, 0, 0));
    shard->resume = false;
    enter(shard, SHARD_SERVING, "taken over");
    relay_start(context->relay, shard->number, pg_int(result, 0, 1));
    if (orders_db_open_payments(shard->session, &shard->number, 1, 0, OPEN_PAYMENTS_MAX, swept,
                                shard) < 0 ||
        orders_db_open_refunds(shard->session, &shard->number, 1, 0, REFUNDER_MAX, swept, shard) <
            0)
        log_warning("open payments are left to the next sweep", LOG_INT("shard", shard->number));
    shard_writer_kick(&shard->writer);
}

static void resume_payment(const struct orders_db_effect *effect, void *arg)
{
    shard_found_payment(arg, effect);
}

static void swept(const struct pg_result *result, void *arg)
{
    if (pg_status(result) == PG_OK) /* else the next sweep finds them */
        orders_db_each_effect(result, resume_payment, arg);
    FAILPOINT(TAKEN_SWEPT);
}

void shard_take_over(struct shard *shard, const char *why, int64_t seen)
{
    const struct shard_context *context = shard->context;
    if (shard->state != SHARD_NOT_OURS || context->member == 0 || context->leaving ||
        !pg_is_up(shard->session))
        return; /* the next session, or the next look, asks again */
    if (orders_db_take_over(shard->session, context->shards, shard->number, context->member, seen,
                            taken, shard) < 0)
        return;
    FAILPOINT(TAKE_OVER_SENT);
    enter(shard, SHARD_TAKING, why);
    loop_timer_start(shard->stuck, STUCK_MS, STUCK_MS);
}

static void stuck_due(void *arg)
{
    struct shard *shard = arg;
    shard->context->stuck(shard->number, shard->context->arg);
}

/* ---- losing it, and giving it back ---- */

/* The shard is not ours any more; what it had in memory is in the tables. */
static void lose(struct shard *shard, const char *why)
{
    shard_writer_close(&shard->writer);
    relay_stop(shard->context->relay, shard->number);
    payer_forget_shard(shard->context->payer, shard->number);
    refunder_forget_shard(shard->context->refunder, shard->number);
    loop_timer_stop(shard->stuck);
    loop_timer_stop(shard->yielding);
    shard->resume = false;
    enter(shard, SHARD_NOT_OURS, why);
    reopen_channel(shard);
    if (!shard->wanted)
        loop_timer_stop(shard->reopen);
}

/* The epoch cannot be used any more, but the shard may still be ours. */
static void suspend(struct shard *shard, const char *why)
{
    if (shard->state == SHARD_YIELDING || shard->state == SHARD_RELEASING) {
        lose(shard, why); /* deliveries were left aside, so the channel has to go */
        return;
    }
    if (shard->state == SHARD_SERVING) {
        shard->resume = true;
        shard->served = shard->writer.place.epoch;
    }
    shard_writer_close(&shard->writer);
    relay_stop(shard->context->relay, shard->number);
    loop_timer_stop(shard->stuck);
    enter(shard, SHARD_NOT_OURS, why); /* deliveries are kept */
}

void shard_session_lost(struct shard *shard)
{
    if (shard_held(shard))
        suspend(shard, "database session lost");
}

void shard_disown(struct shard *shard)
{
    if (shard_held(shard))
        suspend(shard, "we are another member now");
}

void shard_session_up(struct shard *shard)
{
    if (shard->resume)
        shard_take_over(shard, "database session is back", shard->served);
    else if (shard->had_delivery)
        shard_take_over(shard, "a delivery", ORDERS_DB_ANY_EPOCH);
}

static void fenced(struct shard *shard)
{
    log_warning("fenced off: another consumer serves the shard", LOG_INT("shard", shard->number),
                LOG_INT("epoch", shard->writer.place.epoch));
    lose(shard, "fenced");
}

void shard_seen(struct shard *shard, int64_t epoch)
{
    if (shard_serving(shard) && epoch > shard->writer.place.epoch)
        fenced(shard);
    else if (shard->state == SHARD_NOT_OURS)
        shard_session_up(shard);
}

static void released(const struct pg_result *result, void *arg)
{
    struct shard *shard = arg;
    if (shard->state != SHARD_RELEASING)
        return;
    FAILPOINT(RELEASED);
    lose(shard, pg_status(result) == PG_OK ? "given back" : "given up");
    shard->context->released(shard->number, shard->context->arg);
}

/* Gives the shard back once nothing that was begun is left. */
static void release_when_done(struct shard *shard)
{
    struct shard_context *context = shard->context;
    bool patient = clock_mono_ms() < shard->yield_deadline_ms;
    bool calling = payer_calling(context->payer, shard->number) > 0 ||
                   refunder_calling(context->refunder, shard->number) > 0;
    if (!shard_writer_idle(&shard->writer) ||
        (patient && (calling || !relay_idle(context->relay, shard->number)))) {
        loop_timer_start(shard->yielding, YIELD_POLL_MS, 0);
        return;
    }
    relay_save(context->relay);
    enter(shard, SHARD_RELEASING, "nothing is left to finish");
    FAILPOINT(RELEASE);
    if (orders_db_release(&shard->writer.place, released, shard) < 0)
        lose(shard, "given up");
    FAILPOINT(RELEASE_SENT);
}

void shard_yield(struct shard *shard, const char *why, uint64_t patience_ms)
{
    if (shard->state != SHARD_SERVING)
        return;
    enter(shard, SHARD_YIELDING, why);
    SEEDED_BUG(CANCEL, broker_seed_cancel(shard->channel));
    shard->writer.taking = false;
    shard->yield_deadline_ms = clock_mono_ms() + patience_ms;
    payer_hold_shard(shard->context->payer, shard->number);
    release_when_done(shard);
}

static void yielding_due(void *arg)
{
    release_when_done(arg);
}

static void reopen_due(void *arg)
{
    open_channel(arg);
}

/* ---- the writer's events ---- */

static void on_fenced(void *arg)
{
    fenced(arg);
}

static void on_committed(void *arg)
{
    struct shard *shard = arg;
    relay_kick(shard->context->relay, shard->number);
}

static void on_pay(const struct orders_db_effect *effect, void *arg)
{
    struct shard *shard = arg;
    if (shard->state == SHARD_SERVING)
        shard_found_payment(shard, effect);
}

static void on_item_changed(const char *sku, void *arg)
{
    const struct shard *shard = arg;
    admission_keys_changed(shard->context->gatekeys, sku);
}

static void finish_batch(struct shard *shard)
{
    uint64_t tag = intake_close_batch(&shard->intake);
    shard->batch_number++;
    FAILPOINT(ACK);
    if (shard->channel != NULL && !SEEDED_BUG_IS(ACK_EARLY))
        broker_ack(shard->channel, tag, true);
    FAILPOINT_SOON(ACK_SENT);
}

static void dead_letter_safe(uint64_t cookie, void *arg)
{
    struct shard *shard = arg;
    if (cookie != shard->batch_number)
        return; /* the batch has been forgotten; its messages come again */
    if (--shard->dead_unconfirmed > 0)
        return;
    FAILPOINT(DEAD_CONFIRMED);
    finish_batch(shard);
    shard_writer_kick(&shard->writer);
}

static void on_batch_decided(void *arg)
{
    struct shard *shard = arg;
    const struct intake_batch *batch = &shard->intake.batch;
    if (batch->dead_count == 0) {
        finish_batch(shard);
        return;
    }
    shard->dead_unconfirmed = batch->dead_count;
    for (size_t i = 0; i < batch->dead_count; i++) {
        const struct intake_dead *dead = &batch->dead[i];
        log_warning("a message or job goes to the dead letters", LOG_INT("shard", shard->number),
                    LOG_STR("reason", dead->reason));
        if (deadletter_send(shard->context->dead, dead->body, dead->len, dead->reason,
                            shard->batch_number, dead_letter_safe, shard) < 0) {
            reopen_channel(shard); /* all of the batch comes again; what is decided stays so */
            return;
        }
    }
    FAILPOINT(DEAD_SENT);
}

static void on_failed(const char *why, void *arg)
{
    struct shard *shard = arg;
    log_error("the shard starts afresh", LOG_INT("shard", shard->number), LOG_STR("reason", why));
    reopen_channel(shard);
}

static const struct shard_writer_events shard_writer_events = {.fenced = on_fenced,
                                                               .committed = on_committed,
                                                               .pay = on_pay,
                                                               .item_changed = on_item_changed,
                                                               .batch_decided = on_batch_decided,
                                                               .failed = on_failed};

void shard_payment_ended(struct shard *shard, const char *order_id, int64_t attempt,
                         const char *state, const char *intent, const char *code)
{
    if (!shard_serving(shard))
        return; /* the intent is still open: whoever serves the shard asks the gateway again */
    if (shard_writer_add_settlement(&shard->writer, order_id, attempt, state, intent, code) < 0)
        log_error("out of memory: a settlement waits for the sweep", LOG_STR("order_id", order_id));
    FAILPOINT(PAY_ENDED);
    shard_writer_kick(&shard->writer);
}

void shard_refund_ended(struct shard *shard, const char *order_id, int64_t attempt,
                        const char *state, const char *ref, int64_t amount, const char *code)
{
    if (!shard_serving(shard))
        return; /* it is still open in its table */
    if (shard_writer_add_refund(&shard->writer, order_id, attempt, state, ref, amount, code) < 0)
        log_error("out of memory: a refund waits for the sweep", LOG_STR("order_id", order_id));
    shard_writer_kick(&shard->writer);
}

void shard_stop_payments(struct shard *shard, const char *why)
{
    shard_writer_stop_payments(&shard->writer, why);
}

void shard_found_expired(struct shard *shard)
{
    if (!shard_serving(shard))
        return;
    shard->writer.expire_due = true;
    shard_writer_kick(&shard->writer);
}

void shard_found_commands(struct shard *shard)
{
    if (!shard_serving(shard))
        return;
    shard->writer.command_due = true;
    shard_writer_kick(&shard->writer);
}

void shard_found_line(struct shard *shard, const char *sku)
{
    if (!shard_serving(shard))
        return;
    shard_writer_add_line(&shard->writer, sku);
    shard_writer_kick(&shard->writer);
}

void shard_found_payment(struct shard *shard, const struct orders_db_effect *effect)
{
    if (shard->state != SHARD_SERVING)
        return;
    if (effect->kind == ORDERS_DB_LOOK) {
        latelook_add(shard->context->latelook, shard->number, effect);
        return;
    }
    if (effect->kind == ORDERS_DB_ACTION || effect->kind == ORDERS_DB_HINT) {
        payer_hear(shard->context->payer, effect);
        return;
    }
    int code = effect->kind == ORDERS_DB_REFUND
                   ? refunder_add(shard->context->refunder, shard->number, effect)
                   : payer_add(shard->context->payer, shard->number, effect);
    if (code < 0)
        log_debug("a payment waits in its table for the sweep",
                  LOG_STR("order_id", effect->order_id));
}

int shard_init(struct shard *shard, struct shard_context *context, uint32_t number,
               struct pg *session)
{
    *shard = (struct shard){.context = context, .number = number, .session = session};
    backoff_init(&shard->backoff, REOPEN_FIRST_MS, REOPEN_MAX_MS, clock_mono_us() + number);
    intake_init(&shard->intake, number, context->shards, context->ids);
    struct orders_db_place place = {.session = session, .shards = context->shards, .shard = number};
    shard->reopen = loop_timer_new(context->loop, reopen_due, shard);
    shard->stuck = loop_timer_new(context->loop, stuck_due, shard);
    shard->yielding = loop_timer_new(context->loop, yielding_due, shard);
    int code = shard_writer_init(&shard->writer, context->loop, &place, context->wait_ms,
                                 &shard->intake, context->stats, &shard_writer_events, shard);
    bool timers = shard->reopen != NULL && shard->stuck != NULL && shard->yielding != NULL;
    return timers ? code : ERR_NOMEM;
}

void shard_free(struct shard *shard)
{
    intake_forget(&shard->intake);
    shard_writer_free(&shard->writer);
    loop_timer_free(shard->reopen);
    loop_timer_free(shard->stuck);
    loop_timer_free(shard->yielding);
}
