#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/roles/rights.h"
#include "ctl/roles/roles_apply.h"

#define SCRIPT_MAX ((size_t)16 * 1024)
#define HASH_SIZE 256
#define NO_RIGHTS "42501"

static const struct pg_statement look = {"ctl_roles_look",
                                         "select to_regrole('shop_' || $1::text) is not null,"
                                         "       to_regrole('checkout_' || $1::text) is not null",
                                         1};

struct login {
    bool wanted;
    bool there;  /* before */
    bool rights; /* the role that owns them is there */
};

struct logins {
    struct ctl *ctl;
    struct login each[ROLES_COUNT];
    struct login *looked_at;
    struct buf script; /* one transaction: all or nothing */
    int exit_code;
};

static void looked(const struct pg_result *result, void *arg)
{
    struct logins *logins = arg;
    logins->looked_at->there = pg_bool(result, 0, 0);
    logins->looked_at->rights = pg_bool(result, 0, 1);
}

static int add_login(struct logins *logins, size_t i, const char *password)
{
    char hash[HASH_SIZE], user[64];
    const char *program = roles[i].program;
    const char *const params[] = {program};
    logins->looked_at = &logins->each[i];
    int exit_code = ctl_query(logins->ctl, &look, params, looked, logins);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (!logins->each[i].rights)
        return ctl_complain(CTL_FAILED,
                            "PostgreSQL: the role checkout_%s is missing; run `checkoutctl "
                            "migrate` first; nothing was changed",
                            program);
    (void)snprintf(user, sizeof user, "shop_%s", program);
    int code = pg_password_hash(logins->ctl->pg, user, password, hash, sizeof hash);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "PostgreSQL: %s; nothing was changed", err_text(code));
    if (!logins->each[i].there)
        (void)buf_printf(&logins->script, "create role %s;", user);
    (void)buf_printf(&logins->script, "alter role %s login password '%s'; grant checkout_%s to %s;",
                     user, hash, program, user);
    logins->each[i].wanted = true;
    return logins->script.failed ? ctl_complain(CTL_FAILED, "out of memory") : CTL_FINE;
}

static int add_logins(struct logins *logins, const char *directory)
{
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < ROLES_COUNT && exit_code == CTL_FINE; i++) {
        char password[ROLES_PASSWORD_MAX + 1];
        int code = roles_password(directory, &roles[i], password);
        if (code == ERR_NOT_FOUND && roles[i].optional)
            continue;
        if (code < 0)
            return CTL_FAILED;
        exit_code = add_login(logins, i, password);
        explicit_bzero(password, sizeof password);
    }
    return exit_code;
}

static void applied(const struct pg_result *result, void *arg)
{
    struct logins *logins = arg;
    struct ctl *ctl = logins->ctl;
    if (pg_status(result) == PG_OK)
        logins->exit_code = CTL_FINE;
    else if (strcmp(pg_sqlstate(result), NO_RIGHTS) == 0)
        logins->exit_code = ctl_complain(
            CTL_FAILED,
            "PostgreSQL: %s; nothing was changed. CHECKOUT_DATABASE_URL has to name a superuser, "
            "or the login that ran `checkoutctl migrate`, with createrole",
            pg_message(result));
    else
        logins->exit_code =
            ctl_complain(CTL_FAILED, "PostgreSQL: %s; %s", pg_message(result),
                         pg_status(result) == PG_LOST ? "run it again" : "nothing was changed");
    loop_stop(ctl->loop);
}

static void say(const struct logins *logins, const char *directory)
{
    for (size_t i = 0; i < ROLES_COUNT; i++) {
        const struct login *login = &logins->each[i];
        const char *program = roles[i].program;
        if (login->wanted)
            (void)printf("shop_%s: %s, a member of checkout_%s\n", program,
                         login->there ? "was there; has the password of its file" : "made",
                         program);
        else
            (void)printf("shop_%s: left out, there is no %s/%s\n", program, directory, program);
    }
}

int roles_apply_postgresql(struct ctl *ctl, const struct roles_aim *aim)
{
    struct logins logins = {.ctl = ctl, .exit_code = CTL_FAILED};
    int exit_code = ctl_need(ctl, &contact_pg_any);
    if (exit_code != CTL_FINE)
        return exit_code;
    buf_init(&logins.script, SCRIPT_MAX);
    exit_code = add_logins(&logins, aim->directory);
    if (exit_code == CTL_FINE) {
        int code = pg_script(ctl->pg, buf_text(&logins.script), applied, &logins);
        if (code == 0)
            loop_run(ctl->loop);
        else
            (void)ctl_complain(CTL_FAILED, "PostgreSQL: %s", err_text(code));
        exit_code = logins.exit_code;
    }
    if (exit_code == CTL_FINE)
        say(&logins, aim->directory);
    buf_free(&logins.script);
    return exit_code;
}
