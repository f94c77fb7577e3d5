#include "consumer/shard/shard_writer.h"

#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/service/spans.h"
#include "common/testing/failpoint.h"
#include "consumer/shard/output.h"
#include "consumer/shard/shard_failure.h"
#include "consumer/shard/shard_news.h"

#define HELD_MS 1000
#define HELD_SLOW_MS 5000     /* while something takes too long */
#define UNKNOWN_NEWS_MS 60000 /* between two lines of the log */

static void retry_due(void *arg)
{
    shard_writer_kick(arg);
}

static void held_due(void *arg)
{
    struct shard_writer *writer = arg;
    outcomes_release(&writer->payments);
    outcomes_release(&writer->refunds);
    shard_writer_kick(writer);
}

int shard_writer_init(struct shard_writer *writer, struct loop *loop,
                      const struct orders_db_place *place, int64_t wait_ms, struct intake *intake,
                      struct stats *stats, const struct shard_writer_events *events, void *arg)
{
    *writer = (struct shard_writer){.place = *place,
                                    .wait_ms = wait_ms,
                                    .intake = intake,
                                    .stats = stats,
                                    .events = events,
                                    .arg = arg};
    writer->retry = loop_timer_new(loop, retry_due, writer);
    writer->held = loop_timer_new(loop, held_due, writer);
    return writer->retry == NULL || writer->held == NULL ? ERR_NOMEM : 0;
}

void shard_writer_free(struct shard_writer *writer)
{
    outcomes_free(&writer->payments);
    outcomes_free(&writer->refunds);
    loop_timer_free(writer->retry);
    loop_timer_free(writer->held);
}

void shard_writer_open(struct shard_writer *writer, int64_t epoch)
{
    writer->place.epoch = epoch;
    writer->taking = true;
    writer->command_due = true;
    writer->clock_due = true;
}

void shard_writer_close(struct shard_writer *writer)
{
    writer->place.epoch = 0;
    writer->taking = false;
    writer->command_due = false;
    writer->clock_due = false;
    writer->waitlists.count = 0;
    writer->expired.count = 0;
    writer->aside.count = 0;
    writer->stalled_since_ms = 0;
    writer->failing = false;
    outcomes_forget(&writer->payments);
    outcomes_forget(&writer->refunds);
    loop_timer_stop(writer->retry);
    loop_timer_stop(writer->held);
}

bool shard_writer_idle(const struct shard_writer *writer)
{
    return writer->running == SHARD_WRITER_NOTHING && writer->payments.count == 0 &&
           writer->refunds.count == 0 && !writer->intake->batch.open;
}

int shard_writer_add_outcome(struct shard_writer *writer, const struct outcome *outcome)
{
    struct outcomes *to = outcome_of_refund(outcome->kind) ? &writer->refunds : &writer->payments;
    return outcomes_add(to, outcome);
}

void shard_writer_add_waitlist(struct shard_writer *writer, const char *sku)
{
    sku_list_add(&writer->waitlists, sku, clock_mono_ms());
}

void shard_writer_add_expired(struct shard_writer *writer, const char *sku)
{
    sku_list_add(&writer->expired, sku, clock_mono_ms());
}

void shard_writer_stop_payments(struct shard_writer *writer, const char *why)
{
    writer->stopped = why;
    writer->clock_due = writer->place.epoch != 0;
    shard_writer_kick(writer);
}

/* ---- answers ---- */

static void take_task(const struct task *task, void *arg)
{
    struct shard_writer *writer = arg;
    switch (task->kind) {
    case TASK_CHARGE:
    case TASK_REFUND:
    case TASK_RECONCILE:
    case TASK_AWAIT_BUYER:
    case TASK_CHECK:
    case TASK_LOOK_AT_RETURNS:
        writer->events->pay(task, writer->arg);
        return;
    case TASK_SETTLE_WAITLIST:
        shard_writer_add_waitlist(writer, task->sku);
        return;
    case TASK_RUN_COMMANDS:
        writer->command_due = true;
        return;
    case TASK_DECIDE_ASIDE:
        aside_add(&writer->aside, task->sku, ASIDE_JOBS); /* its head was decided */
        return;
    }
}

/* Reported after the transaction's own end. */
static void take_unknown_task(uint32_t shard, const char *kind, void *arg)
{
    struct shard_writer *writer = arg;
    (void)shard;
    (void)snprintf(writer->unknown_task, sizeof writer->unknown_task, "%s",
                   kind[0] == '\0' ? "none" : kind);
}

/* The queue of a transaction of this kind; NULL: it has none. */
static struct outcomes *outcomes_of(struct shard_writer *writer, enum shard_writer_work work)
{
    if (work == SHARD_WRITER_SETTLE)
        return &writer->payments;
    return work == SHARD_WRITER_REFUND ? &writer->refunds : NULL;
}

static void take_news(const struct news *news, void *arg)
{
    struct shard_writer *writer = arg;
    const char *sku = shard_news_item(news);
    struct outcomes *ended = outcomes_of(writer, writer->last);
    if (news->kind == NEWS_NOT_RECORDED && ended != NULL)
        outcomes_hold(ended, news->order_id, news->count);
    shard_news_record(writer->stats, news);
    if (sku != NULL)
        writer->events->item_changed(sku, writer->arg);
}

static void take_unknown_news(const char *kind, void *arg)
{
    struct shard_writer *writer = arg;
    if (!log_due(&writer->unknown_news_ms, UNKNOWN_NEWS_MS))
        return;
    log_warning("unknown news from the database; ignored", LOG_INT("shard", writer->place.shard),
                LOG_STR("kind", kind));
}

static const struct output_receiver receiver = {.task = take_task,
                                                .news = take_news,
                                                .unknown_task = take_unknown_task,
                                                .unknown_news = take_unknown_news};

static void report_unknown_task(struct shard_writer *writer)
{
    char kind[SHARD_WRITER_KIND_SIZE];
    if (writer->unknown_task[0] == '\0')
        return;
    memcpy(kind, writer->unknown_task, sizeof kind);
    writer->unknown_task[0] = '\0';
    writer->events->unknown_task(kind, writer->arg);
}

#ifdef CHECKOUT_SEEDED_BUGS
enum { BEFORE, SENT, COMMITTED, DONE };

static void failpoint_step(enum shard_writer_work work, int step)
{
    static const enum failpoint first[] = {
        [SHARD_WRITER_SETTLE] = FAILPOINT_SETTLE, [SHARD_WRITER_REFUND] = FAILPOINT_REFUND,
        [SHARD_WRITER_DECIDE] = FAILPOINT_DECIDE, [SHARD_WRITER_COMMAND] = FAILPOINT_COMMAND,
        [SHARD_WRITER_WAITLIST] = FAILPOINT_LINE, [SHARD_WRITER_CLOCK] = FAILPOINT_CLOCK,
        [SHARD_WRITER_EXPIRE] = FAILPOINT_EXPIRE, [SHARD_WRITER_ASIDE] = FAILPOINT_ASIDE};
    failpoint_at((enum failpoint)((int)first[work] + step));
}
#else
#define failpoint_step(work, step) ((void)0)
#endif

/* Each order of a deciding transaction has a span of it. */
static void record_spans(const struct shard_writer *writer, const struct intake_batch *batch)
{
    if (writer->stats->spans == NULL)
        return;
    for (size_t i = batch->from; i < batch->to; i++) {
        const struct job *job = &batch->jobs[i]->job;
        struct span *span =
            spans_record(writer->stats->spans, job->order_id, job->traceparent, writer->started_us,
                         batch->aside ? "set order aside" : "decide order", SPAN_CONSUMER);
        span_text(span, "messaging.system", "rabbitmq");
        span_text(span, "messaging.operation.type", "process");
        span_number(span, "checkout.shard", writer->place.shard);
        span_number(span, "messaging.batch.message_count", (int64_t)(batch->to - batch->from));
    }
}

static void done(struct shard_writer *writer, enum shard_writer_work work)
{
    double seconds = (double)(clock_mono_us() - writer->started_us) / 1e6;
    struct outcomes *ended = outcomes_of(writer, work);
    if (ended != NULL) {
        metric_observe(writer->stats->settle_seconds, seconds);
        outcomes_recorded(ended);
        writer->intake->batch.others_decided = true;
    } else if (work == SHARD_WRITER_DECIDE) {
        const struct intake_batch *batch = &writer->intake->batch;
        metric_observe(writer->stats->decide_seconds, seconds);
        metric_add(writer->stats->batches, 1);
        metric_add(writer->stats->of_shard[writer->place.shard].jobs,
                   (double)(batch->to - batch->from));
        record_spans(writer, batch);
        if (!batch->aside)
            patience_passed(&writer->patience, (uint32_t)(seconds * 1000));
        intake_part_decided(writer->intake);
    }
    writer->events->committed(writer->arg);
    failpoint_step(work, DONE);
    shard_writer_kick(writer);
}

/* What was looked at leaves its list; a task, or the sweep, says that there is more. */
static void leave_queue(struct shard_writer *writer, enum shard_writer_work work)
{
    if (work == SHARD_WRITER_ASIDE)
        aside_done(&writer->aside);
    else if (work == SHARD_WRITER_WAITLIST)
        sku_list_drop(&writer->waitlists, 1);
    else if (work == SHARD_WRITER_EXPIRE)
        sku_list_drop(&writer->expired, writer->expiring);
}

static void committed(struct shard_writer *writer, enum shard_writer_work work,
                      const struct pg_result *result)
{
    writer->stalled_since_ms = 0; /* until the next kick */
    writer->failing = false;
    if (!patience_is_short(&writer->patience, clock_mono_ms()))
        writer->cuts[work] = 0;
    failpoint_step(work, COMMITTED);
    leave_queue(writer, work);
    output_receive(result, writer->place.shard, &receiver, writer);
    done(writer, work);
    report_unknown_task(writer);
}

static void answered(const struct pg_result *result, void *arg)
{
    struct shard_writer *writer = arg;
    enum shard_writer_work work = writer->running;
    enum orders_db_status status = orders_db_status(result);
    writer->running = SHARD_WRITER_NOTHING;
    if (status == ORDERS_DB_FENCED) /* also if a heartbeat has shown it already */
        metric_add(writer->stats->of_shard[writer->place.shard].fenced, 1);
    if (writer->place.epoch != writer->running_epoch) { /* closed meanwhile */
        shard_failure_again(writer);
        shard_writer_kick(writer);
        return;
    }
    switch (status) {
    case ORDERS_DB_DONE:
        committed(writer, work, result);
        return;
    case ORDERS_DB_FENCED:
        writer->events->fenced(writer->arg);
        return;
    case ORDERS_DB_REFUSED:
    case ORDERS_DB_BUSY:
    case ORDERS_DB_SLOW:
    case ORDERS_DB_FENCE_BUSY:
    case ORDERS_DB_RETRY:
        if (shard_failure(writer, work, status, result))
            shard_writer_kick(writer);
        return;
    case ORDERS_DB_LOST:
        shard_failure_again(
            writer); /* the shard learns of the session's loss and takes over again */
        return;
    }
}

/* ---- the next transaction ---- */

/* The next kind of work after the last one that has any, so that all kinds take turns. */
static enum shard_writer_work next_work(const struct shard_writer *writer)
{
    enum shard_writer_work work = writer->last;
    for (int turns = 0; turns < SHARD_WRITER_ASIDE; turns++) {
        work =
            work >= SHARD_WRITER_ASIDE ? SHARD_WRITER_SETTLE : (enum shard_writer_work)(work + 1);
        if (shard_work_waits(writer, work))
            return work;
    }
    return SHARD_WRITER_NOTHING;
}

/* Reports once that all jobs of a batch are decided; then it is acknowledged, unless dead letters
 * are under way. */
static void end_decided_batch(struct shard_writer *writer)
{
    if (!writer->intake->batch.open || writer->batch_reported ||
        !intake_decided_all(writer->intake))
        return;
    writer->batch_reported = true;
    writer->events->batch_decided(writer->arg);
}

/* Takes the next batch, if none is open. Returns false if out of memory. */
static bool open_batch(struct shard_writer *writer)
{
    if (writer->intake->batch.open)
        return true;
    writer->batch_reported = false;
    if (intake_open_batch(writer->intake) == 0)
        return true;
    writer->events->failed("out of memory", writer->arg);
    return false;
}

static void begin(struct shard_writer *writer, enum shard_writer_work work)
{
    writer->running_epoch = writer->place.epoch;
    writer->started_us = clock_mono_us();
    failpoint_step(work, BEFORE);
    int code = shard_work_start(writer, work, answered);
    if (code < 0) {
        shard_failure_later(writer, work, err_text(code));
        return;
    }
    failpoint_step(work, SENT);
    writer->running = work;
    writer->last = work;
}

static void start_next(struct shard_writer *writer)
{
    while (writer->running == SHARD_WRITER_NOTHING && writer->place.epoch != 0) {
        end_decided_batch(writer);
        enum shard_writer_work work = next_work(writer);
        if (work == SHARD_WRITER_NOTHING)
            return;
        if (work == SHARD_WRITER_DECIDE) {
            if (!open_batch(writer))
                return;
            if (intake_decided_all(writer->intake))
                continue; /* nothing in it can be read */
        }
        begin(writer, work);
        return;
    }
}

static void start_held(struct shard_writer *writer)
{
    if (writer->payments.held_count + writer->refunds.held_count > 0 &&
        !loop_timer_active(writer->held))
        loop_timer_start(
            writer->held,
            patience_is_short(&writer->patience, clock_mono_ms()) ? HELD_SLOW_MS : HELD_MS, 0);
}

void shard_writer_kick(struct shard_writer *writer)
{
    start_held(writer);
    start_next(writer);
    bool works = writer->place.epoch != 0 &&
                 (writer->running != SHARD_WRITER_NOTHING || writer->intake->batch.open ||
                  next_work(writer) != SHARD_WRITER_NOTHING);
    if (!works)
        writer->stalled_since_ms = 0;
    else if (writer->stalled_since_ms == 0)
        writer->stalled_since_ms = clock_mono_ms();
}

const char *shard_writer_why(const struct shard_writer *writer)
{
    return writer->failing ? writer->why : NULL;
}

uint64_t shard_writer_stalled_ms(const struct shard_writer *writer, uint64_t now_ms)
{
    return writer->stalled_since_ms == 0 ? 0 : now_ms - writer->stalled_since_ms;
}
