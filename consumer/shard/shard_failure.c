#include "consumer/shard/shard_failure.h"

#include <stdio.h>

#include "common/base/log.h"

#define RETRY_MS 200
#define LOG_EACH_MS 10000
#define PASS_MS 5000 /* then one that hangs is tried again */

/* The queue of a transaction of this kind; NULL: it has none. */
static struct outcomes *outcomes_of(struct shard_writer *writer, enum shard_writer_work work)
{
    if (work == SHARD_WRITER_SETTLE)
        return &writer->payments;
    return work == SHARD_WRITER_REFUND ? &writer->refunds : NULL;
}

void shard_failure_again(struct shard_writer *writer)
{
    outcomes_again(&writer->payments);
    outcomes_again(&writer->refunds);
}

/* The same event comes five times a second for as long as a disk is full. */
static void log_failure(struct shard_writer *writer, const char *event, const char *problem)
{
    writer->unlogged++;
    if (!log_due(&writer->logged_ms, LOG_EACH_MS))
        return;
    log_warning(event, LOG_INT("shard", writer->place.shard), LOG_STR("problem", problem),
                LOG_INT("times", writer->unlogged));
    writer->unlogged = 0;
}

void shard_failure_later(struct shard_writer *writer, enum shard_writer_work work,
                         const char *problem)
{
    if (work == SHARD_WRITER_CLOCK)
        writer->clock_due = true; /* no other event would retry it */
    log_failure(writer, "database refuses for now; will retry", problem);
    shard_failure_again(writer);
    loop_timer_start(writer->retry, RETRY_MS, 0);
}

/* Fewer of them next; one that hangs alone is passed over for a while. */
static void cut(struct shard_writer *writer, enum shard_writer_work work)
{
    uint64_t until_ms = clock_mono_ms() + PASS_MS;
    bool alone = writer->cuts[work] == SHARD_WRITER_CUTS;
    if (!alone)
        writer->cuts[work]++;
    if (work == SHARD_WRITER_WAITLIST && alone) {
        sku_list_pass_over(&writer->waitlists, until_ms);
    } else if (work == SHARD_WRITER_EXPIRE && alone) {
        sku_list_pass_over(&writer->expired, until_ms);
    } else if (work == SHARD_WRITER_CLOCK) {
        writer->clock_due = true;
    } else if (work == SHARD_WRITER_COMMAND) {
        writer->command_due = true;
        writer->passed += alone;
        writer->passed_until_ms = until_ms;
    }
}

static bool refused(struct shard_writer *writer, enum shard_writer_work work, const char *problem)
{
    log_warning("database refuses a value", LOG_INT("shard", writer->place.shard),
                LOG_STR("problem", problem));
    struct outcomes *ended = outcomes_of(writer, work);
    if (ended != NULL) {
        outcomes_refused(ended);
    } else if (work == SHARD_WRITER_DECIDE && writer->intake->batch.open &&
               intake_part_refused(writer->intake) < 0) {
        writer->events->failed("out of memory", writer->arg);
        return false;
    } else if (work == SHARD_WRITER_ASIDE) {
        aside_refused(&writer->aside);
    } else if (work == SHARD_WRITER_WAITLIST || work == SHARD_WRITER_EXPIRE) {
        cut(writer, work);
    }
    return true;
}

/* Other work than deciding, after a lock or a timeout: the same with less, so that one item delays
 * no other. */
static void with_less(struct shard_writer *writer, enum shard_writer_work work)
{
    struct outcomes *ended = outcomes_of(writer, work);
    if (ended != NULL)
        outcomes_busy(ended);
    else if (work == SHARD_WRITER_ASIDE)
        aside_failed(&writer->aside);
    else
        cut(writer, work);
    shard_failure_again(writer);
}

static bool busy(struct shard_writer *writer, enum shard_writer_work work, const char *problem)
{
    log_failure(writer, "lock in the database; trying with less", problem);
    if (work != SHARD_WRITER_DECIDE)
        with_less(writer, work);
    else if (writer->intake->batch.open)
        intake_part_busy(writer->intake);
    return true;
}

/* Whether deciding goes on with another part; -1: out of memory. */
static int other_part(struct shard_writer *writer)
{
    struct intake *intake = writer->intake;
    bool was_aside = intake->batch.aside;
    if (!intake->batch.open)
        return true;
    if (intake_widen(intake) < 0)
        return -1;
    return (intake->batch.aside && !was_aside) || intake_part_failed(intake);
}

/* For another reason, or it takes too long: the same later, unless it is an item's. */
static bool failed(struct shard_writer *writer, enum shard_writer_work work, const char *problem,
                   bool slow)
{
    if (work == SHARD_WRITER_DECIDE) {
        int more = other_part(writer);
        if (more < 0) {
            writer->events->failed("out of memory", writer->arg);
            return false;
        }
        if (more > 0) {
            log_failure(writer, "database refuses jobs; trying with fewer", problem);
            return true;
        }
    } else if (slow && work != SHARD_WRITER_CLOCK) {
        log_failure(writer, "timeout in the database; trying with less", problem);
        with_less(writer, work);
        return true;
    } else if (work == SHARD_WRITER_ASIDE) {
        aside_failed(&writer->aside);
    } else if (work == SHARD_WRITER_WAITLIST || work == SHARD_WRITER_EXPIRE) {
        cut(writer, work);
    }
    if (slow)
        patience_grow(&writer->patience);
    shard_failure_later(writer, work, problem);
    return false;
}

bool shard_failure(struct shard_writer *writer, enum shard_writer_work work,
                   enum orders_db_status status, const struct pg_result *result)
{
    const char *problem = pg_message(result);
    (void)snprintf(writer->why, sizeof writer->why, "%s: %s", pg_sqlstate(result), problem);
    writer->failing = true;
    switch (status) {
    case ORDERS_DB_REFUSED:
        return refused(writer, work, problem);
    case ORDERS_DB_BUSY:
        return busy(writer, work, problem);
    case ORDERS_DB_SLOW:
        patience_timeout(&writer->patience, clock_mono_ms());
        return failed(writer, work, problem, true);
    case ORDERS_DB_RETRY:
        return failed(writer, work, problem, false);
    case ORDERS_DB_FENCE_BUSY:
    case ORDERS_DB_DONE:
    case ORDERS_DB_FENCED:
    case ORDERS_DB_LOST:
        break;
    }
    shard_failure_later(writer, work, problem);
    return false;
}
