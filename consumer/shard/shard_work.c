#include "consumer/shard/shard_work.h"

#include <string.h>

/* Jobs of the open batch, or, if we take jobs, of the next one. */
static bool has_jobs(const struct shard_writer *writer)
{
    const struct intake *intake = writer->intake;
    if (intake->batch.open)
        return !intake_decided_all(intake);
    return writer->taking && intake_has_work(intake);
}

bool shard_work_waits(const struct shard_writer *writer, enum shard_writer_work work)
{
    switch (work) {
    case SHARD_WRITER_SETTLE:
        return writer->payments.count > 0;
    case SHARD_WRITER_REFUND:
        return writer->refunds.count > 0;
    case SHARD_WRITER_DECIDE:
        return has_jobs(writer);
    case SHARD_WRITER_COMMAND:
        return writer->command_due;
    case SHARD_WRITER_WAITLIST:
        return writer->waitlists.count > 0;
    case SHARD_WRITER_CLOCK:
        return writer->clock_due;
    case SHARD_WRITER_EXPIRE:
        return writer->expired.count > 0;
    case SHARD_WRITER_ASIDE:
        return writer->aside.count > 0;
    case SHARD_WRITER_NOTHING:
        return false;
    }
    return false;
}

static int start_decide(struct shard_writer *writer, pg_result_cb answered)
{
    const struct intake_batch *batch = &writer->intake->batch;
    struct job_entry *const *jobs = batch->jobs + batch->from;
    size_t count = batch->to - batch->from;
    if (batch->aside)
        return orders_db_set_aside(&writer->place, writer->why, jobs, count, answered, writer);
    return orders_db_decide(&writer->place, writer->wait_ms, jobs, count, answered, writer);
}

/* Whether it is about one item or order only, alone since it may be the one that hangs. */
static bool is_alone(const struct shard_writer *writer, enum shard_writer_work work)
{
    const struct outcomes *ended =
        work == SHARD_WRITER_SETTLE ? &writer->payments : &writer->refunds;
    if (work == SHARD_WRITER_SETTLE || work == SHARD_WRITER_REFUND)
        return ended->suspects > 0 && ended->most == 1;
    if (work == SHARD_WRITER_ASIDE)
        return writer->aside.items[0].limit <= 1;
    return work != SHARD_WRITER_DECIDE && writer->cuts[work] == SHARD_WRITER_CUTS;
}

/* A statement of its own before the transaction, whose own setting would come too late. */
static int limit_time(struct shard_writer *writer, enum shard_writer_work work)
{
    uint32_t limit_ms = patience_ms(&writer->patience, clock_mono_ms());
    if (limit_ms < PATIENCE_USUAL_MS && is_alone(writer, work))
        limit_ms = PATIENCE_USUAL_MS;
    return pg_limit(writer->place.session, limit_ms);
}

static unsigned rows(const struct shard_writer *writer, enum shard_writer_work work, unsigned usual)
{
    unsigned cut = usual >> (3 * writer->cuts[work]);
    return cut == 0 || writer->cuts[work] == SHARD_WRITER_CUTS ? 1 : cut;
}

static int start_commands(struct shard_writer *writer, pg_result_cb answered)
{
    if (clock_mono_ms() >= writer->passed_until_ms)
        writer->passed = 0;
    unsigned limit = rows(writer, SHARD_WRITER_COMMAND, SHARD_WRITER_COMMANDS);
    int code = orders_db_run_commands(&writer->place, limit, writer->passed, answered, writer);
    if (code == 0)
        writer->command_due = false;
    return code;
}

static int start_expire(struct shard_writer *writer, pg_result_cb answered)
{
    unsigned limit = rows(writer, SHARD_WRITER_EXPIRE, SHARD_WRITER_CHUNK);
    size_t count = writer->expired.count < limit ? writer->expired.count : limit;
    int code =
        orders_db_expire(&writer->place, limit, writer->expired.skus, count, answered, writer);
    if (code == 0)
        writer->expiring = count;
    return code;
}

int shard_work_start(struct shard_writer *writer, enum shard_writer_work work,
                     pg_result_cb answered)
{
    int code = limit_time(writer, work);
    if (code < 0)
        return code;
    switch (work) {
    case SHARD_WRITER_SETTLE:
        return orders_db_settle(&writer->place, writer->payments.items,
                                outcomes_begin(&writer->payments), answered, writer);
    case SHARD_WRITER_REFUND:
        return orders_db_record_refunds(&writer->place, writer->refunds.items,
                                        outcomes_begin(&writer->refunds), answered, writer);
    case SHARD_WRITER_DECIDE:
        return start_decide(writer, answered);
    case SHARD_WRITER_ASIDE:
        return aside_begin(&writer->aside, &writer->place, writer->wait_ms, writer->why, answered,
                           writer);
    case SHARD_WRITER_COMMAND:
        return start_commands(writer, answered);
    case SHARD_WRITER_WAITLIST:
        return orders_db_settle_waitlist(&writer->place, writer->waitlists.skus[0],
                                         rows(writer, work, SHARD_WRITER_CHUNK), answered, writer);
    case SHARD_WRITER_CLOCK:
        code = orders_db_stop_payments(&writer->place, writer->stopped, answered, writer);
        if (code == 0)
            writer->clock_due = false;
        return code;
    case SHARD_WRITER_EXPIRE:
        return start_expire(writer, answered);
    case SHARD_WRITER_NOTHING:
        return 0;
    }
    return 0;
}
