/* Mails that wait for a mailer, or did not leave. */
#include <inttypes.h>

#include "ctl/doctor/findings.h"
#include "ctl/human.h"

#define LATE_MS 120000 /* a mailer that lives has tried before */

static const struct pg_statement mails = {
    "ctl_doctor_mails",
    "select o.mails, (o.oldest_s * 1000)::bigint,"
    "       (select count(*) from checkout.mails m"
    "         where m.state = 'failed' and m.ended_at > now() - interval '1 day'),"
    "       exists (select 1 from checkout.mails m)"
    "  from checkout.mails_overdue() o",
    0};

struct counts {
    int64_t due;
    int64_t due_ms;
    int64_t failed;
    bool any;
};

static void read_counts(const struct pg_result *result, void *arg)
{
    *(struct counts *)arg = (struct counts){.due = pg_int(result, 0, 0),
                                            .due_ms = pg_int(result, 0, 1),
                                            .failed = pg_int(result, 0, 2),
                                            .any = pg_bool(result, 0, 3)};
}

void doctor_mails(struct doctor *doctor)
{
    struct counts counts = {0};
    char age[HUMAN_SIZE];
    if (!doctor_ask(doctor, &mails, read_counts, &counts) || !counts.any)
        return; /* none was ever written: the shop sends none */
    human_age(counts.due_ms, age);
    if (counts.due_ms > LATE_MS)
        doctor_say(doctor, FINDING_WARN, "mails",
                   "start checkout-mailer; if one runs, its log says which mail server it lacks",
                   "%" PRId64 " wait for a mailer, the oldest for %s", counts.due, age);
    else if (counts.failed == 0)
        doctor_say(doctor, FINDING_OK, "mails", "", "%" PRId64 " are due", counts.due);
    if (counts.failed > 0)
        doctor_say(doctor, FINDING_WARN, "mails",
                   "checkoutctl mails list --state failed; then mails retry --failed",
                   "%" PRId64 " failed since yesterday", counts.failed);
}
