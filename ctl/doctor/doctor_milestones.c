/* Whether the database is the shop's newest, by the milestones in RabbitMQ. */
#include <inttypes.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/shop/shard.h"
#include "ctl/doctor/findings.h"
#include "ctl/milestones.h"

static const struct pg_statement compare = {
    "ctl_doctor_milestones",
    "select coalesce(checkout.compare_milestones($1::text[]),"
    "                (select d.problem from checkout.database_problem(false) d"
    "                  where d.sqlstate_ = 'CK009')),"
    "       (select count(*) from (select m.shard, max(m.event_id) as event_id"
    "                                from checkout.marked_events($1::text[]) m group by m.shard) m"
    "         where exists (select 1 from checkout.order_events e"
    "                        where e.shard = m.shard and e.event_id > m.event_id"
    "                          and checkout.span_of(e.event_id) >= checkout.span_of(m.event_id)"
    "                          and e.created_at < now() - interval '10 s')),"
    "       exists (select 1 from checkout.order_events), (select c.generation from "
    "checkout.database_check c)",
    1};
enum { PROBLEM, UNMILESTONEED, HAS_EVENTS, GENERATION };

struct comparison {
    struct doctor *doctor;
    size_t milestones;
};

static void compared(const struct pg_result *result, void *arg)
{
    const struct comparison *c = arg;
    if (!pg_null(result, 0, PROBLEM))
        doctor_say(c->doctor, FINDING_FAIL, "milestones",
                   "see `checkoutctl restore status`, and \"Backup and restore\" in "
                   "docs/operations.md; no program serves from it until then",
                   "%s", pg_text(result, 0, PROBLEM));
    else if (c->milestones == 0 && pg_bool(result, 0, HAS_EVENTS))
        doctor_say(c->doctor, FINDING_WARN, "milestones",
                   "start checkout-consumer, or look into its log; until then an older database "
                   "would not be recognised",
                   "no milestone is kept in RabbitMQ");
    else if (c->milestones > 0 && pg_int(result, 0, UNMILESTONEED) > 0)
        doctor_say(c->doctor, FINDING_WARN, "milestones",
                   "look into the log of the consumer that serves shard 0: an older database would "
                   "not be recognised",
                   "the newest events of %" PRId64 " shards are not marked in RabbitMQ for 10 s",
                   pg_int(result, 0, UNMILESTONEED));
    else
        doctor_say(c->doctor, FINDING_OK, "milestones", "",
                   "the database is the newest, by %zu milestones in RabbitMQ (restores: %" PRId64
                   ")",
                   c->milestones, pg_int(result, 0, GENERATION));
}

void doctor_milestones(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    struct comparison comparison = {.doctor = doctor};
    struct milestones_read read;
    if (ctl->pg == NULL)
        return;
    milestones_read(ctl, &read);
    comparison.milestones = read.count;
    const char *const params[] = {buf_text(&read.milestones)};
    if (read.code == ERR_NOT_FOUND)
        doctor_say(doctor, FINDING_FAIL, "milestones", "run `checkoutctl topology`",
                   "RabbitMQ has no queue %s: an older database would not be recognised",
                   SHARD_MILESTONES);
    else if (read.code < 0)
        doctor_say(doctor, FINDING_FAIL, "milestones", "", "not read from RabbitMQ: %s",
                   read.problem);
    else if (ctl_try_query(ctl, &compare, params, compared, &comparison) != CTL_FINE)
        doctor_say(doctor, FINDING_WARN, "milestones",
                   "run it again; programs compare by themselves before they serve",
                   "not compared: %s", ctl->problem);
    milestones_read_free(&read);
}
