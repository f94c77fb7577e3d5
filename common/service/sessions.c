#include "common/service/sessions.h"

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/database_version.h"

#define STATEMENT_TIMEOUT_MS 5000 /* the client's own deadline comes 1 s later */
#define TCP_TIMEOUT_MS 5000
#define PENDING_MAX 4096
#define WRITES_FOLLOW_MS 3000 /* they come back together, but not in the same instant */

/* One that hung is given up, but it goes on hanging in PostgreSQL: while there is such a one,
 * another would hang, too. */
static const struct pg_statement hanging = {
    "greet_writes",
    "select g.version, g.oldest_program,"
    "       (select count(*) from pg_stat_activity a where a.datname = current_database()"
    "           and a.application_name = current_setting('application_name')"
    "           and a.wait_event = 'SyncRep')"
    "  from checkout.greet(" DATABASE_VERSION_TEXT ") g",
    0};

static int judge(const struct pg_result *result, char *ret_reason, size_t reason_size)
{
    int code = database_version_greeting.judge(result, ret_reason, reason_size);
    if (code < 0 || pg_int(result, 0, 2) == 0)
        return code;
    (void)snprintf(ret_reason, reason_size, "commits wait for a replica that does not answer");
    return ERR_UNAVAILABLE;
}

static const struct pg_greeting greet_writes = {&hanging, judge};

/* What both lack is said once, by the session that reads. */
static void say_writes(void *arg)
{
    const struct sessions *sessions = arg;
    const char *reason = pg_reason(sessions->writes);
    if (reason[0] != '\0' && pg_is_up(sessions->reads))
        log_warning("PostgreSQL session for changes is not connected",
                    LOG_STR("effect", sessions->options.without_writes), LOG_STR("reason", reason));
}

static void count_up(const struct sessions *sessions)
{
    metric_set(sessions->options.up, pg_is_up(sessions->reads) && pg_is_up(sessions->writes));
}

static void reads_changed(bool up, const char *reason, void *arg)
{
    struct sessions *sessions = arg;
    count_up(sessions);
    if (up) {
        sessions->behind[0] = '\0';
    } else if (pg_fault(sessions->reads) == ERR_REFUSED) {
        (void)snprintf(sessions->behind, sizeof sessions->behind, "%s", reason);
        if (pg_is_up(sessions->writes))
            pg_reconnect(sessions->writes); /* it is refused, too: nothing goes into it */
    }
    if (up) {
        log_info("PostgreSQL is connected");
        loop_timer_start(sessions->later, WRITES_FOLLOW_MS, 0);
        if (sessions->options.reads_connected != NULL)
            sessions->options.reads_connected(sessions->options.arg);
    } else {
        log_warning("PostgreSQL is not connected",
                    LOG_STR("effect", sessions->options.without_reads), LOG_STR("reason", reason));
    }
}

static void writes_changed(bool up, const char *reason, void *arg)
{
    const struct sessions *sessions = arg;
    (void)up; /* pg_reason says it, too */
    (void)reason;
    count_up(sessions);
    if (!loop_timer_active(sessions->later))
        say_writes(arg);
}

bool sessions_open(struct sessions *sessions, struct loop *loop,
                   const struct sessions_options *options)
{
    char check[SESSIONS_NAME_SIZE];
    (void)snprintf(check, sizeof check, "%s check", options->program);
    *sessions = (struct sessions){.options = *options,
                                  .cluster = pg_cluster_new(loop, options->url, check)};
    (void)snprintf(sessions->names[0], SESSIONS_NAME_SIZE, "%s", options->program);
    (void)snprintf(sessions->names[1], SESSIONS_NAME_SIZE, "%s writes", options->program);
    sessions->later = loop_timer_new(loop, say_writes, sessions);
    if (sessions->cluster == NULL || sessions->later == NULL)
        return false;
    struct pg_options session = {.url = options->url,
                                 .cluster = sessions->cluster,
                                 .application_name = sessions->names[0],
                                 .greeting = &database_version_greeting,
                                 .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
                                 .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
                                 .pending_max = PENDING_MAX};
    sessions->reads = pg_open(loop, &session, reads_changed, sessions);
    session.application_name = sessions->names[1];
    session.greeting = &greet_writes;
    sessions->writes = pg_open(loop, &session, writes_changed, sessions);
    return sessions->reads != NULL && sessions->writes != NULL;
}

void sessions_close(struct sessions *sessions)
{
    pg_close(sessions->reads);
    pg_close(sessions->writes);
    pg_cluster_free(sessions->cluster);
    loop_timer_free(sessions->later);
    *sessions = (struct sessions){.cluster = NULL};
}
