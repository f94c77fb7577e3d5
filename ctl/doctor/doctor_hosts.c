/* The hosts of the database's URL, and whether commits end. */
#include <inttypes.h>
#include <string.h>

#include "ctl/doctor/findings.h"

/* A commit that waits is visible to no other session: a failover would lose it. A role without
 * rights sees only the waits of its own sessions. */
static const struct pg_statement waiting = {
    "ctl_doctor_waiting",
    "select count(*),"
    "       coalesce(max(extract(epoch from clock_timestamp() - query_start))::bigint, 0)"
    "  from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()"
    "   and query_start < clock_timestamp() - interval '2 seconds'",
    0};

struct answer {
    int64_t numbers[2];
};

static void read_numbers(const struct pg_result *result, void *arg)
{
    struct answer *answer = arg;
    for (int column = 0; column < 2; column++)
        answer->numbers[column] = pg_int(result, 0, column);
}

void doctor_commits(struct doctor *doctor)
{
    struct answer answer = {0};
    if (doctor_ask(doctor, &waiting, read_numbers, &answer) && answer.numbers[0] > 0)
        doctor_say(doctor, FINDING_FAIL, "postgresql",
                   "bring the replica of synchronous_standby_names back, or take it out of that "
                   "setting; do not end the sessions: that shows commits which a failover loses",
                   "%" PRId64 " commits wait for the replica, one for %" PRId64 " s",
                   answer.numbers[0], answer.numbers[1]);
}

/* A server that takes no writes is refused at login, unless the URL says otherwise. */
static const struct pg_statement session = {
    "ctl_doctor_session", "select 0, (current_setting('transaction_read_only') = 'on')::integer",
    0};

void doctor_session(struct doctor *doctor)
{
    struct answer answer = {0};
    if (!doctor_ask(doctor, &session, read_numbers, &answer))
        return;
    if (answer.numbers[1] != 0)
        doctor_say(
            doctor, FINDING_FAIL, "postgresql",
            "take target_session_attrs out of CHECKOUT_DATABASE_URL, or make this server the "
            "primary; see default_transaction_read_only",
            "it takes no writes");
    if (pg_pooled(doctor->ctl->pg))
        doctor_say(
            doctor, FINDING_WARN, "postgresql",
            "name PostgreSQL itself in CHECKOUT_DATABASE_URL, or see docs/operations.md for what a "
            "pooler has to be set to",
            "there is a connection pooler in between, with a session for each client");
}

static void say_host(struct doctor *doctor, const struct pg_found *host)
{
    if (!host->answered)
        doctor_say(doctor, FINDING_WARN, "postgresql",
                   "bring it back, or take it out of CHECKOUT_DATABASE_URL",
                   "%s does not answer within 1 s", host->place);
    else if (!host->known)
        doctor_say(doctor, FINDING_WARN, "postgresql",
                   "let our roles execute pg_control_system, pg_control_checkpoint and "
                   "pg_control_recovery: an old primary is not recognised without them",
                   "%s does not show its timeline", host->place);
    else
        doctor_say(doctor, FINDING_OK, "postgresql", "", "%s: %s, timeline %" PRId64, host->place,
                   host->writes ? "primary" : "standby", host->timeline);
}

/* Two that take writes are two databases, whatever their data has in common. */
static void compare(struct doctor *doctor, const struct pg_found *a, const struct pg_found *b)
{
    if (!a->known || !b->known)
        return;
    if (strcmp(a->system, b->system) != 0)
        doctor_say(doctor, FINDING_FAIL, "postgresql", "set CHECKOUT_DATABASE_URL right",
                   "%s and %s are different clusters", a->place, b->place);
    else if (a->writes && b->writes)
        doctor_say(doctor, FINDING_FAIL, "postgresql",
                   "stop the one with the lower timeline at once: it is an old primary; rebuild "
                   "it as a standby (pg_rewind, pg_basebackup)",
                   "%s and %s both take writes (timelines %" PRId64 " and %" PRId64 ")", a->place,
                   b->place, a->timeline, b->timeline);
}

static void surveyed(const struct pg_found *hosts, size_t count, void *arg)
{
    struct doctor *doctor = arg;
    for (size_t i = 0; i < count; i++)
        say_host(doctor, &hosts[i]);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            compare(doctor, &hosts[i], &hosts[j]);
    loop_stop(doctor->ctl->loop);
}

void doctor_hosts(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    const char *url = cfg_str(ctl->cfg, CFG_DATABASE_URL);
    struct pg_cluster *cluster = pg_cluster_new(ctl->loop, url, "checkoutctl doctor");
    if (cluster == NULL)
        return;
    pg_cluster_survey(cluster, surveyed, doctor);
    loop_run(ctl->loop);
    pg_cluster_free(cluster);
}
