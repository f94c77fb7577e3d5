#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"

#define PATIENCE_MS 6000

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

int ctl_load(struct ctl *ctl, cfg_set needed)
{
    struct cfg *cfg;
    struct buf problems;
    buf_init(&problems, CFG_PROBLEMS_SIZE);
    int code = cfg_load_some(CFG_CTL, needed, environ, &cfg, &problems);
    if (code < 0) {
        cfg_complain("checkoutctl", &problems);
    } else {
        cfg_free(ctl->cfg);
        ctl->cfg = cfg;
    }
    buf_free(&problems);
    return code < 0 ? CTL_USAGE : CTL_FINE;
}

/* ---- first contact ---- */

static struct contact *contact_of(struct ctl *ctl, const struct contact_kind *kind)
{
    bool pg = kind == &contact_pg || kind == &contact_pg_any;
    return &ctl->contacts[pg ? 0 : kind == &contact_broker ? 1 : 2];
}

enum contact_state ctl_meet(struct ctl *ctl, const struct contact_kind *kind,
                            const char **ret_reason)
{
    struct contact *contact = contact_of(ctl, kind);
    if (contact->client == NULL) {
        contact_begin(contact, kind, ctl->loop, ctl->cfg, "checkoutctl");
        contact_await(contact, 1, PATIENCE_MS);
        if (contact == &ctl->contacts[0] && contact->client != NULL)
            pg_patience(contact->client, ctl->patient ? 0 : CTL_ANSWER_MS);
    }
    ctl->pg = ctl->contacts[0].client;
    ctl->broker = ctl->contacts[1].client;
    ctl->redis = ctl->contacts[2].client;
    *ret_reason = contact->reason;
    return contact->state;
}

int ctl_need(struct ctl *ctl, const struct contact_kind *kind)
{
    const char *reason;
    if (contact_of(ctl, kind)->client != NULL)
        return CTL_FINE; /* met before */
    enum contact_state state = ctl_meet(ctl, kind, &reason);
    if (state == CONTACT_WRONG)
        return ctl_complain(CTL_USAGE, "%s: %s", cfg_name(kind->setting), reason);
    if (state == CONTACT_UNSUITED)
        return ctl_complain(CTL_FAILED, "%s: %s", kind->server, reason);
    if (state == CONTACT_DOWN)
        return ctl_complain(CTL_FAILED, "%s is down (%s): %s", kind->server,
                            cfg_name(kind->setting), reason);
    return CTL_FINE;
}

/* ---- queries ---- */

struct question {
    struct ctl *ctl;
    pg_result_cb rows;
    void *arg;
    int exit_code;
};

void ctl_keep_problem(struct ctl *ctl, const struct pg_result *result)
{
    bool lost = pg_status(result) == PG_LOST;
    (void)snprintf(ctl->sqlstate, sizeof ctl->sqlstate, "%s", pg_sqlstate(result));
    (void)snprintf(ctl->problem, sizeof ctl->problem, "%s",
                   lost ? pg_reason(ctl->pg) : pg_message(result));
}

static void answered(const struct pg_result *result, void *arg)
{
    struct question *question = arg;
    struct ctl *ctl = question->ctl;
    question->exit_code = pg_status(result) == PG_OK ? CTL_FINE : CTL_FAILED;
    ctl_keep_problem(ctl, result);
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

static bool is_one_of(const char *sqlstate, const char *const *states, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    return false;
}

/* Whether the tables or functions of a newer (or any) migration are missing. */
static bool wants_migration(const char *sqlstate)
{
    static const char *const states[] = {"42P01", "3F000", "42883", "42703", "42704"};
    return is_one_of(sqlstate, states, ARRAY_LEN(states));
}

/* No lock was to be had in time, or it would have been a deadlock. */
bool ctl_was_locked_out(const struct ctl *ctl)
{
    static const char *const states[] = {"55P03", "40P01"};
    return is_one_of(ctl->sqlstate, states, ARRAY_LEN(states));
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
    for (size_t i = 0; i < ARRAY_LEN(ctl->contacts); i++)
        if (ctl->contacts[i].kind != NULL)
            contact_end(&ctl->contacts[i]);
    loop_free(ctl->loop);
    cfg_free(ctl->cfg);
}
