#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/err.h"
#include "ctl/doctor/findings.h"

/* A finding for each line. */
static void say_each(struct doctor *doctor, const char *name, const char *problems)
{
    for (size_t len; *problems != '\0'; problems += len + (problems[len] == '\n')) {
        len = strcspn(problems, "\n");
        doctor_say(doctor, FINDING_WARN, "settings",
                   "if that program runs with this environment, it will not start", "%s: %.*s",
                   name, (int)len, problems);
    }
}

static void check_program(struct doctor *doctor, uint32_t program, const char *name)
{
    struct cfg *cfg = NULL;
    struct buf problem;
    buf_init(&problem, CFG_PROBLEMS_SIZE);
    if (cfg_load(program, environ, &cfg, &problem) < 0)
        say_each(doctor, name, buf_text(&problem));
    else
        doctor_say(doctor, FINDING_OK, "settings", "", "good for %s", name);
    cfg_free(cfg);
    buf_free(&problem);
}

/* A program that a shop may do without: where what it cannot do without is set. */
static void check_optional(struct doctor *doctor, enum cfg_id needed, uint32_t program,
                           const char *name)
{
    const char *value = getenv(cfg_name(needed));
    if (value != NULL && value[0] != '\0')
        check_program(doctor, program, name);
}

/* A secret that others can read is not secret. */
static void check_secret_file(struct doctor *doctor, enum cfg_id id)
{
    const char *path = getenv(cfg_name(id));
    struct stat info;
    if (path == NULL || stat(path, &info) != 0)
        return; /* the check of the settings reports that */
    unsigned mode = (unsigned)info.st_mode & 07777;
    if ((mode & 022) != 0)
        doctor_say(doctor, FINDING_FAIL, "secrets", "chmod 600 the file, and make a new secret",
                   "%s: %s may be written by others (mode %03o)", cfg_name(id), path, mode);
    else if ((mode & 007) != 0)
        doctor_say(doctor, FINDING_WARN, "secrets",
                   "chmod 600 the file; if other users have access to the host, make a new secret",
                   "%s: every user may read %s (mode %03o)", cfg_name(id), path, mode);
    else
        doctor_say(doctor, FINDING_OK, "secrets", "", "%s: mode %03o", cfg_name(id), mode);
}

void doctor_settings(struct doctor *doctor)
{
    check_program(doctor, CFG_PRODUCER, "checkout-producer");
    check_program(doctor, CFG_CONSUMER, "checkout-consumer");
    check_program(doctor, CFG_NOTIFIER, "checkout-notifier");
    check_optional(doctor, CFG_SMTP_URL, CFG_MAILER, "checkout-mailer");
    check_optional(doctor, CFG_HOOKS_SECRETS, CFG_WEBHOOKS, "checkout-webhooks");
    check_optional(doctor, CFG_CONSOLE_JWKS_FILE, CFG_CONSOLE, "checkout-console");
    check_secret_file(doctor, CFG_JWT_SECRET_FILE);
    check_secret_file(doctor, CFG_JWT_PREVIOUS_SECRET_FILE);
    check_secret_file(doctor, CFG_TICKET_SECRET_FILE);
    check_secret_file(doctor, CFG_ORDER_SECRET_FILE);
    check_secret_file(doctor, CFG_GATEWAY_KEY_FILE);
    check_secret_file(doctor, CFG_WEBHOOK_SECRET_FILE);
    check_secret_file(doctor, CFG_SMTP_PASSWORD_FILE);
}
