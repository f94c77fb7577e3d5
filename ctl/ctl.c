#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

#define PATIENCE_MS 6000
#define TCP_USER_TIMEOUT_MS 10000
#define PENDING_MAX 64

int ctl_complain(int exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("checkoutctl: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return exit_code;
}

/* ---- first contact ---- */

/* One server's hosts are tried once each. */
struct contact {
    struct ctl *ctl;
    unsigned hosts;
    unsigned tries;
    unsigned unknown;
    enum ctl_link link;
    char *reason;
    struct loop_timer *patience;
    bool over; /* the server comes and goes later on: not our business any more */
};

static void met(struct contact *contact, enum ctl_link link)
{
    contact->link = link;
    loop_stop(contact->ctl->loop);
}

static void failed(struct contact *contact, int fault, const char *reason)
{
    (void)snprintf(contact->reason, CTL_REASON_SIZE, "%s", reason);
    contact->tries++;
    if (fault == ERR_NOT_FOUND)
        contact->unknown++;
    if (fault == ERR_AUTH || contact->unknown == contact->hosts)
        met(contact, CTL_LINK_WRONG);
    else if (contact->tries >= contact->hosts)
        met(contact, CTL_LINK_DOWN);
}

static void out_of_patience(void *arg)
{
    struct contact *contact = arg;
    if (contact->tries == 0)
        (void)snprintf(contact->reason, CTL_REASON_SIZE, "no answer within %d s",
                       PATIENCE_MS / 1000);
    met(contact, CTL_LINK_DOWN);
}

/* Contacts of the session: their callbacks come as long as it lives. */
static struct contact pg_contact;
static struct contact broker_contact;
static struct contact redis_contact;

static void pg_changed(bool up, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (contact->over)
        return;
    if (up)
        met(contact, CTL_LINK_UP);
    else
        failed(contact, pg_fault(contact->ctl->pg), reason);
}

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (contact->over)
        return;
    if (state == BROKER_DOWN)
        failed(contact, broker_fault(contact->ctl->broker), reason);
    else
        met(contact, CTL_LINK_UP);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct contact *contact = arg;
    if (contact->over)
        return;
    if (up)
        met(contact, CTL_LINK_UP);
    else
        failed(contact, redis_fault(contact->ctl->redis), reason);
}

static unsigned count_hosts(const char *url)
{
    unsigned count = 1;
    for (; *url != '\0'; url++)
        if (*url == ',')
            count++;
    return count;
}

static void begin(struct contact *contact, struct ctl *ctl, enum cfg_id setting, char *reason)
{
    *contact = (struct contact){.ctl = ctl,
                                .hosts = count_hosts(cfg_str(ctl->cfg, setting)),
                                .link = CTL_LINK_DOWN,
                                .reason = reason};
    reason[0] = '\0';
}

/* Runs the loop until the contact is made or has failed. */
static enum ctl_link await(struct contact *contact, bool opened)
{
    contact->patience = loop_timer_new(contact->ctl->loop, out_of_patience, contact);
    if (!opened || contact->patience == NULL) {
        (void)snprintf(contact->reason, CTL_REASON_SIZE, "out of memory");
    } else {
        loop_timer_start(contact->patience, PATIENCE_MS, 0);
        loop_run(contact->ctl->loop);
    }
    loop_timer_free(contact->patience);
    contact->over = true;
    return contact->link;
}

enum ctl_link ctl_link_db(struct ctl *ctl, char ret_reason[CTL_REASON_SIZE])
{
    const struct pg_options options = {.url = cfg_str(ctl->cfg, CFG_DATABASE_URL),
                                       .application_name = "checkoutctl",
                                       .tcp_user_timeout_ms = TCP_USER_TIMEOUT_MS,
                                       .pending_max = PENDING_MAX};
    begin(&pg_contact, ctl, CFG_DATABASE_URL, ret_reason);
    ctl->pg = pg_open(ctl->loop, &options, pg_changed, &pg_contact);
    return await(&pg_contact, ctl->pg != NULL);
}

enum ctl_link ctl_link_bus(struct ctl *ctl, char ret_reason[CTL_REASON_SIZE])
{
    const struct broker_options options = {
        .urls = cfg_str(ctl->cfg, CFG_AMQP_URL),
        .name = "checkoutctl",
        .heartbeat_s = (uint32_t)(cfg_int(ctl->cfg, CFG_AMQP_HEARTBEAT) / 1000)};
    begin(&broker_contact, ctl, CFG_AMQP_URL, ret_reason);
    ctl->broker = broker_open(ctl->loop, &options, broker_changed, &broker_contact);
    return await(&broker_contact, ctl->broker != NULL);
}

enum ctl_link ctl_link_kv(struct ctl *ctl, char ret_reason[CTL_REASON_SIZE])
{
    begin(&redis_contact, ctl, CFG_REDIS_URL, ret_reason);
    ctl->redis = redis_open(ctl->loop, cfg_str(ctl->cfg, CFG_REDIS_URL), PENDING_MAX, redis_changed,
                            &redis_contact);
    return await(&redis_contact, ctl->redis != NULL);
}

static int judge(enum ctl_link link, enum cfg_id setting, const char *server, const char *reason)
{
    if (link == CTL_LINK_WRONG)
        return ctl_complain(CTL_USAGE, "%s: %s", cfg_name(setting), reason);
    if (link == CTL_LINK_DOWN)
        return ctl_complain(CTL_FAILED, "%s is down (%s): %s", server, cfg_name(setting), reason);
    return CTL_FINE;
}

int ctl_need_db(struct ctl *ctl)
{
    char reason[CTL_REASON_SIZE];
    if (ctl->pg != NULL)
        return CTL_FINE;
    enum ctl_link link = ctl_link_db(ctl, reason);
    return judge(link, CFG_DATABASE_URL, "PostgreSQL", reason);
}

int ctl_need_bus(struct ctl *ctl)
{
    char reason[CTL_REASON_SIZE];
    if (ctl->broker != NULL)
        return CTL_FINE;
    enum ctl_link link = ctl_link_bus(ctl, reason);
    return judge(link, CFG_AMQP_URL, "RabbitMQ", reason);
}

/* ---- queries ---- */

struct question {
    struct ctl *ctl;
    pg_result_cb rows;
    void *arg;
    int exit_code;
};

static void answered(const struct pg_result *result, void *arg)
{
    struct question *question = arg;
    struct ctl *ctl = question->ctl;
    question->exit_code = pg_status(result) == PG_OK ? CTL_FINE : CTL_FAILED;
    (void)snprintf(ctl->sqlstate, sizeof ctl->sqlstate, "%s", pg_sqlstate(result));
    (void)snprintf(ctl->problem, sizeof ctl->problem, "%s", pg_message(result));
    if (question->exit_code == CTL_FINE && question->rows != NULL)
        question->rows(result, question->arg);
    loop_stop(ctl->loop);
}

int ctl_try_query(struct ctl *ctl, const struct pg_statement *statement, const char *const *params,
                  pg_result_cb rows, void *arg)
{
    struct question question = {ctl, rows, arg, CTL_FAILED};
    int code = pg_query(ctl->pg, statement, params, answered, &question);
    if (code == 0) {
        loop_run(ctl->loop);
        return question.exit_code;
    }
    ctl->sqlstate[0] = '\0';
    (void)snprintf(ctl->problem, sizeof ctl->problem, "%s", err_text(code));
    return CTL_FAILED;
}

/* Whether the tables or functions of a newer (or any) migration are missing. */
static bool wants_migration(const char *sqlstate)
{
    static const char *const states[] = {"42P01", "3F000", "42883", "42703", "42704"};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    return false;
}

int ctl_complain_query(const struct ctl *ctl)
{
    if (wants_migration(ctl->sqlstate))
        return ctl_complain(CTL_FAILED, "PostgreSQL: %s; run `checkoutctl migrate` first",
                            ctl->problem);
    return ctl_complain(CTL_FAILED, "PostgreSQL: %s%s%s%s", ctl->problem,
                        ctl->sqlstate[0] == '\0' ? "" : " (", ctl->sqlstate,
                        ctl->sqlstate[0] == '\0' ? "" : ")");
}

int ctl_query(struct ctl *ctl, const struct pg_statement *statement, const char *const *params,
              pg_result_cb rows, void *arg)
{
    int exit_code = ctl_try_query(ctl, statement, params, rows, arg);
    return exit_code == CTL_FINE ? CTL_FINE : ctl_complain_query(ctl);
}

/* ---- waiting ---- */

static void rested(void *arg)
{
    loop_stop(arg);
}

int ctl_rest(struct ctl *ctl, uint64_t ms)
{
    struct loop_timer *timer = loop_timer_new(ctl->loop, rested, ctl->loop);
    if (timer == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    loop_timer_start(timer, ms, 0);
    loop_run(ctl->loop);
    loop_timer_free(timer);
    return CTL_FINE;
}

/* ---- the end ---- */

void ctl_close(struct ctl *ctl)
{
    pg_close(ctl->pg);
    broker_close(ctl->broker);
    redis_close(ctl->redis);
    loop_free(ctl->loop);
    cfg_free(ctl->cfg);
}
