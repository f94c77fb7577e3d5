/* How doctor asks PostgreSQL. */
#include <string.h>

#include "ctl/doctor/findings.h"

#define QUERY_MS 5000
#define TOO_SLOW "57014"

void doctor_limit_queries(struct doctor *doctor)
{
    struct pg *pg = doctor->ctl->pg;
    pg_patience(pg, CTL_ANSWER_SOON_MS);
    int code = pg_limit(pg, QUERY_MS);
    (void)code; /* what it meets, the next query meets, too */
}

static const char *advice_for(const struct ctl *ctl)
{
    if (strcmp(ctl->sqlstate, TOO_SLOW) == 0)
        return "see pg_stat_activity for the session that it waits for, or for what keeps the "
               "server busy";
    return ctl->sqlstate[0] == '\0'
               ? "look into the server's log, and run doctor again"
               : "run `checkoutctl migrate`, or give this user the rights it needs";
}

bool doctor_ask(struct doctor *doctor, const struct pg_statement *statement, pg_result_cb rows,
                void *arg)
{
    if (ctl_try_query(doctor->ctl, statement, NULL, rows, arg) == CTL_FINE)
        return true;
    doctor_say(doctor, FINDING_FAIL, "postgresql", advice_for(doctor->ctl), "%s",
               doctor->ctl->problem);
    return false;
}
