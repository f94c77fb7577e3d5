#include "consumer/shard/shard_writer.h"

#include <string.h>

#include "common/testing/failpoint.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define RETRY_MS 200

static void retry_due(void *arg)
{
    lane_kick(arg);
}

int lane_init(struct lane *lane, struct loop *loop, const struct counter_place *place,
              int64_t wait_ms, struct intake *intake, struct stats *stats,
              const struct lane_events *events, void *arg)
{
    *lane = (struct lane){.place = *place,
                          .wait_ms = wait_ms,
                          .intake = intake,
                          .stats = stats,
                          .events = events,
                          .arg = arg};
    lane->retry = loop_timer_new(loop, retry_due, lane);
    return lane->retry == NULL ? ERR_NOMEM : 0;
}

void lane_free(struct lane *lane)
{
    endings_free(&lane->payments);
    endings_free(&lane->refunds);
    loop_timer_free(lane->retry);
}

void lane_open(struct lane *lane, int64_t epoch)
{
    lane->place.epoch = epoch;
    lane->taking = true;
    lane->expire_due = true;
    lane->command_due = true;
    lane->clock_due = true;
}

void lane_close(struct lane *lane)
{
    lane->place.epoch = 0;
    lane->taking = false;
    lane->expire_due = false;
    lane->command_due = false;
    lane->clock_due = false;
    lane->line_count = 0;
    endings_forget(&lane->payments);
    endings_forget(&lane->refunds);
    loop_timer_stop(lane->retry);
}

bool lane_idle(const struct lane *lane)
{
    return lane->running == LANE_NOTHING && lane->payments.count == 0 && lane->refunds.count == 0 &&
           !lane->intake->batch.open;
}

int lane_add_settlement(struct lane *lane, const char *order_id, int64_t attempt, const char *state,
                        const char *intent, const char *code)
{
    return endings_add(&lane->payments, order_id, attempt, state, intent, 0, code);
}

int lane_add_refund(struct lane *lane, const char *order_id, int64_t attempt, const char *state,
                    const char *ref, int64_t amount, const char *code)
{
    return endings_add(&lane->refunds, order_id, attempt, state, ref, amount, code);
}

void lane_add_line(struct lane *lane, const char *sku)
{
    for (size_t i = 0; i < lane->line_count; i++)
        if (strcmp(lane->lines[i], sku) == 0)
            return;
    size_t len = strlen(sku);
    if (lane->line_count == LANE_LINES_MAX || len > JOB_SKU_MAX)
        return;
    memcpy(lane->lines[lane->line_count++], sku, len + 1);
}

void lane_stop_payments(struct lane *lane, const char *why)
{
    lane->stopped = why;
    lane->clock_due = lane->place.epoch != 0;
    lane_kick(lane);
}

/* ---- answers ---- */

static void take_effect(const struct counter_effect *effect, void *arg)
{
    struct lane *lane = arg;
    switch (effect->kind) {
    case COUNTER_PAY:
    case COUNTER_REFUND:
    case COUNTER_LOOK:
    case COUNTER_ACTION:
    case COUNTER_HINT:
        lane->events->pay(effect, lane->arg);
        return;
    case COUNTER_LATE:
        metric_add(lane->stats->late_successes, 1);
        log_warning("the gateway took money for an order that does not want it; it is given back",
                    LOG_STR("order_id", effect->order_id), LOG_STR("status", effect->detail),
                    LOG_STR("intent", effect->reason));
        return;
    case COUNTER_MORE:
        lane_add_line(lane, effect->sku);
        return;
    case COUNTER_CONFLICT:
        metric_add(lane->stats->conflicts, 1);
        log_warning("a retry of the order has another body; the first counts",
                    LOG_STR("order_id", effect->order_id));
        return;
    case COUNTER_TALLY:
        stats_transition(lane->stats, effect->detail, effect->reason, effect->amount);
        if (effect->sku != NULL && strcmp(effect->detail, "refunded") == 0)
            lane->events->item_changed(effect->sku, lane->arg); /* its units are back */
        return;
    case COUNTER_COMMAND:
        stats_command(lane->stats, effect->detail);
        log_info("command", LOG_INT("command", effect->amount), LOG_STR("state", effect->detail),
                 LOG_STR("result", effect->reason));
        if (effect->sku != NULL)
            lane->events->item_changed(effect->sku, lane->arg);
        return;
    case COUNTER_COMMANDS:
        lane->command_due = true;
        return;
    }
}

/* What the transaction of this kind takes from; NULL: it is of another kind. */
static struct endings *endings_of(struct lane *lane, enum lane_work work)
{
    if (work == LANE_SETTLE)
        return &lane->payments;
    return work == LANE_REFUND ? &lane->refunds : NULL;
}

#ifdef CHECKOUT_PLANTS
enum { BEFORE, SENT, COMMITTED, DONE };

static void crash_step(enum lane_work work, int step)
{
    static const enum crash_point first[] = {
        [LANE_SETTLE] = CRASH_SETTLE,   [LANE_REFUND] = CRASH_REFUND, [LANE_DECIDE] = CRASH_DECIDE,
        [LANE_COMMAND] = CRASH_COMMAND, [LANE_LINE] = CRASH_LINE,     [LANE_CLOCK] = CRASH_CLOCK,
        [LANE_EXPIRE] = CRASH_EXPIRE};
    crash_at((enum crash_point)((int)first[work] + step));
}
#else
#define crash_step(work, step) ((void)0)
#endif

static void done(struct lane *lane, enum lane_work work)
{
    double seconds = (double)(clock_mono_us() - lane->started_us) / 1e6;
    struct endings *ended = endings_of(lane, work);
    if (ended != NULL) {
        metric_observe(lane->stats->settle_seconds, seconds);
        endings_recorded(ended);
    } else if (work == LANE_DECIDE) {
        const struct intake_batch *batch = &lane->intake->batch;
        metric_observe(lane->stats->decide_seconds, seconds);
        metric_add(lane->stats->batches, 1);
        metric_add(lane->stats->of_shard[lane->place.shard].jobs,
                   (double)(batch->to - batch->from));
        intake_part_decided(lane->intake);
    }
    lane->events->committed(lane->arg);
    crash_step(work, DONE);
    lane_kick(lane);
}

static void refused(struct lane *lane, enum lane_work work, const char *problem)
{
    log_warning("the database refuses a value", LOG_INT("shard", lane->place.shard),
                LOG_STR("problem", problem));
    struct endings *ended = endings_of(lane, work);
    if (ended != NULL) {
        endings_refused(ended);
    } else if (work == LANE_DECIDE && lane->intake->batch.open &&
               intake_part_refused(lane->intake) < 0) {
        lane->events->failed("out of memory", lane->arg);
        return;
    }
    lane_kick(lane);
}

static void again(struct lane *lane)
{
    endings_again(&lane->payments);
    endings_again(&lane->refunds);
}

static void not_now(struct lane *lane, enum lane_work work, const char *problem)
{
    if (work == LANE_CLOCK)
        lane->clock_due = true; /* nobody else would ask again */
    log_warning("the database refuses for now; trying again", LOG_INT("shard", lane->place.shard),
                LOG_STR("problem", problem));
    again(lane);
    loop_timer_start(lane->retry, RETRY_MS, 0);
}

static void answered(const struct db_result *result, void *arg)
{
    struct lane *lane = arg;
    enum lane_work work = lane->running;
    enum counter_status status = counter_status(result);
    lane->running = LANE_NOTHING;
    if (status == COUNTER_FENCED) /* also if a beat has told us before */
        metric_add(lane->stats->of_shard[lane->place.shard].fenced, 1);
    if (lane->place.epoch != lane->running_epoch) { /* closed meanwhile */
        again(lane);
        lane_kick(lane);
        return;
    }
    switch (status) {
    case COUNTER_DONE:
        crash_step(work, COMMITTED);
        counter_each_effect(result, take_effect, lane);
        done(lane, work);
        return;
    case COUNTER_FENCED:
        lane->events->fenced(lane->arg);
        return;
    case COUNTER_REFUSED:
        refused(lane, work, db_message(result));
        return;
    case COUNTER_RETRY:
        not_now(lane, work, db_message(result));
        return;
    case COUNTER_LOST:
        again(lane); /* the session's loss is told to the shard, which takes over anew */
        return;
    }
}

/* ---- the next transaction ---- */

/* Jobs of an open batch, or, if we take jobs, of a new one. */
static bool has_jobs(struct lane *lane)
{
    struct intake *intake = lane->intake;
    if (!intake->batch.open) {
        if (!lane->taking || !intake_has_work(intake))
            return false;
        lane->batch_told = false;
        if (intake_open_batch(intake) < 0) {
            lane->events->failed("out of memory", lane->arg);
            return false;
        }
    }
    if (!intake_decided_all(intake))
        return true;
    if (!lane->batch_told) {
        lane->batch_told = true;
        lane->events->batch_decided(
            lane->arg); /* acknowledges it, unless dead letters are on their way */
        return !intake->batch.open && has_jobs(lane);
    }
    return false;
}

static bool has_work(struct lane *lane, enum lane_work work)
{
    switch (work) {
    case LANE_SETTLE:
        return lane->payments.count > 0;
    case LANE_REFUND:
        return lane->refunds.count > 0;
    case LANE_DECIDE:
        return has_jobs(lane);
    case LANE_COMMAND:
        return lane->command_due;
    case LANE_LINE:
        return lane->line_count > 0;
    case LANE_CLOCK:
        return lane->clock_due;
    case LANE_EXPIRE:
        return lane->expire_due;
    case LANE_NOTHING:
        return false;
    }
    return false;
}

static int start(struct lane *lane, enum lane_work work)
{
    const struct intake_batch *batch = &lane->intake->batch;
    int code = 0;
    switch (work) {
    case LANE_SETTLE:
        return counter_settle(&lane->place, lane->payments.items, endings_begin(&lane->payments),
                              answered, lane);
    case LANE_REFUND:
        return counter_settle_refunds(&lane->place, lane->refunds.items,
                                      endings_begin(&lane->refunds), answered, lane);
    case LANE_DECIDE:
        return counter_decide(&lane->place, lane->wait_ms, batch->jobs + batch->from,
                              batch->to - batch->from, answered, lane);
    case LANE_COMMAND:
        code = counter_execute_commands(&lane->place, LANE_COMMANDS, answered, lane);
        if (code == 0)
            lane->command_due = false;
        return code;
    case LANE_LINE:
        code = counter_settle_line(&lane->place, lane->lines[0], LANE_CHUNK, answered, lane);
        if (code == 0) /* if there is more, the answer says so */
            memmove(lane->lines, lane->lines + 1, --lane->line_count * sizeof lane->lines[0]);
        return code;
    case LANE_CLOCK:
        code = counter_stop_payments(&lane->place, lane->stopped, answered, lane);
        if (code == 0)
            lane->clock_due = false;
        return code;
    case LANE_EXPIRE:
        code = counter_expire(&lane->place, LANE_CHUNK, answered, lane);
        if (code == 0)
            lane->expire_due = false;
        return code;
    case LANE_NOTHING:
        return 0;
    }
    return 0;
}

void lane_kick(struct lane *lane)
{
    if (lane->running != LANE_NOTHING || lane->place.epoch == 0)
        return;
    enum lane_work work = lane->last;
    for (int turns = 0; turns < LANE_EXPIRE; turns++) {
        work = work >= LANE_EXPIRE ? LANE_SETTLE : (enum lane_work)(work + 1);
        if (!has_work(lane, work))
            continue;
        if (lane->place.epoch == 0 || lane->running != LANE_NOTHING)
            return; /* a callback has closed the lane, or has kicked it */
        lane->running_epoch = lane->place.epoch;
        lane->started_us = clock_mono_us();
        crash_step(work, BEFORE);
        int code = start(lane, work);
        if (code < 0) {
            not_now(lane, work, err_text(code));
        } else {
            crash_step(work, SENT);
            lane->running = work;
            lane->last = work;
        }
        return;
    }
}
