#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/roles/rights.h"
#include "ctl/roles/roles_apply.h"

#define DIRECTORY_DEFAULT "/etc/checkout/passwords"
#define VHOST_DEFAULT "/"

/* ---- PostgreSQL: for psql ---- */

static int print_postgresql(const struct roles_aim *aim)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const char *program = roles[i].program;
        (void)printf("\\set password `cat %s/%s`\n"
                     "select 'create role shop_%s' where not exists "
                     "(select from pg_roles where rolname = 'shop_%s') \\gexec\n"
                     "alter role shop_%s login password :'password';\n"
                     "grant checkout_%s to shop_%s;\n",
                     aim->directory, program, program, program, program, program, program);
    }
    return CTL_FINE;
}

/* ---- RabbitMQ: for a shell on its host ---- */

/* RabbitMQ's own text of a user and its rights. ERR_*, after printing the problem. */
static int define(const struct roles_aim *aim, const struct role *role, const char *vhost,
                  json_t *users, json_t *permissions)
{
    char name[ROLES_USER_SIZE], hash[ROLES_SALTED_SIZE];
    int code = roles_password_salted(aim->directory, role, hash);
    if (code < 0)
        return code;
    (void)snprintf(name, sizeof name, "checkout_%s", role->program);
    if (json_array_append_new(users, json_pack("{s:s, s:s, s:s, s:s}", "name", name,
                                               "password_hash", hash, "hashing_algorithm",
                                               ROLES_SALTED_ALGORITHM, "tags", role->tag)) < 0 ||
        json_array_append_new(permissions, json_pack("{s:s, s:s, s:s, s:s, s:s}", "user", name,
                                                     "vhost", vhost, "configure", role->configure,
                                                     "write", role->write, "read", role->read)) <
            0) {
        (void)ctl_complain(CTL_FAILED, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    return 0;
}

/* All of them; NULL after printing the problem. Free it. */
static char *definitions(const struct roles_aim *aim, const char *vhost)
{
    char *text = NULL;
    json_t *users = json_array(), *permissions = json_array();
    json_t *all = json_pack("{s:O, s:O}", "users", users, "permissions", permissions);
    int code = 0;
    for (size_t i = 0; i < ARRAY_LEN(roles) && code == 0; i++)
        if (roles[i].configure != NULL)
            code = define(aim, &roles[i], vhost, users, permissions);
    if (code == 0) {
        text = json_dumps(all, JSON_INDENT(4));
        if (text == NULL)
            (void)ctl_complain(CTL_FAILED, "%s", err_text(ERR_NOMEM));
    }
    json_decref(all);
    json_decref(users);
    json_decref(permissions);
    return text;
}

/* The shell reads all of it before it runs any of it; its commands read nothing of it. The
 * passwords may be on another host, and rabbitmqctl does its work as the user rabbitmq. */
static int print_rabbitmq(const struct roles_aim *aim)
{
    const char *vhost = aim->vhost == NULL ? VHOST_DEFAULT : aim->vhost;
    char *text = definitions(aim, vhost);
    if (text == NULL)
        return CTL_FAILED;
    (void)printf("{\n"
                 "rabbitmqctl -q list_vhosts | grep -qxF '%s' || rabbitmqctl -q add_vhost '%s'\n"
                 "file=$(mktemp)\n"
                 "trap 'rm -f \"$file\"' EXIT\n"
                 "cat >\"$file\" <<'DEFINITIONS'\n%s\nDEFINITIONS\n"
                 "chown rabbitmq \"$file\" 2>/dev/null || true\n"
                 "rabbitmqctl -q import_definitions \"$file\"\n"
                 "} </dev/null\n",
                 vhost, vhost, text);
    free(text);
    return CTL_FINE;
}

/* ---- Redis: for redis-cli ---- */

static int print_redis(const struct roles_aim *aim)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        char hash[ROLES_HASH_SIZE];
        if (roles[i].redis == NULL)
            continue;
        if (roles_password_hash(aim->directory, &roles[i], hash) < 0)
            return CTL_FAILED;
        (void)printf("ACL SETUSER checkout_%s reset on #%s %s\n", roles[i].program, hash,
                     roles[i].redis);
    }
    return CTL_FINE;
}

/* ---- the command ---- */

/* Whether it may stand in each of the scripts unquoted. */
static bool is_plain(const char *text)
{
    return text[strspn(
               text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")] == '\0';
}

static const struct server {
    const char *name;
    int (*print)(const struct roles_aim *aim);
    int (*apply)(struct ctl *ctl, const struct roles_aim *aim);
    cfg_set settings; /* that applying needs */
} servers[] = {
    {"postgresql", print_postgresql, roles_apply_postgresql, CFG_BIT(DATABASE_URL)},
    {"rabbitmq", print_rabbitmq, roles_apply_rabbitmq, CFG_BIT(AMQP_URL) | CFG_BIT(BROKER_API_URL)},
    {"redis", print_redis, roles_apply_redis, CFG_BIT(REDIS_URL)},
};

/* Reads the settings again, with those of the server. */
static int apply(struct ctl *ctl, const struct server *server, const struct roles_aim *aim)
{
    int exit_code = ctl_load(ctl, server->settings);
    if (exit_code != CTL_FINE)
        return exit_code;
    return server->apply(ctl, aim);
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const char *directory = command_option(&command_roles, args, "passwords");
    const char *vhost = command_option(&command_roles, args, "vhost");
    const struct roles_aim aim = {directory == NULL ? DIRECTORY_DEFAULT : directory, vhost};
    if (!is_plain(aim.directory) || (vhost != NULL && !is_plain(vhost)))
        return ctl_complain(CTL_USAGE, "--passwords and --vhost take letters, digits and / . _ -");
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (strcmp(args->operands[0], servers[i].name) == 0)
            return command_switch(&command_roles, args, "apply") ? apply(ctl, &servers[i], &aim)
                                                                 : servers[i].print(&aim);
    return ctl_complain(CTL_USAGE, "SERVER is postgresql, rabbitmq or redis, not %s",
                        args->operands[0]);
}

const struct command command_roles = {
    .words = "roles",
    .operands = "SERVER",
    .operand_count = 1,
    .summary = "prints or makes the logins of programs",
    .details =
        "SERVER is postgresql, rabbitmq or redis. With --apply it makes the logins at the server "
        "and says what it did, as the user of CHECKOUT_DATABASE_URL (a superuser, or the owner of "
        "the database with createrole), of CHECKOUT_AMQP_URL (an administrator; by the management "
        "API at CHECKOUT_BROKER_API_URL) or of CHECKOUT_REDIS_URL (one who may use ACL); the "
        "servers get no password, only its hash. Without, it prints a text for the server's own "
        "tool: checkoutctl roles postgresql | psql; checkoutctl roles rabbitmq | sh "
        "-e; checkoutctl roles redis | redis-cli. The texts for RabbitMQ and Redis hold hashes; "
        "with that for PostgreSQL psql reads the passwords in DIR. Both may run again at any "
        "time: they make what is not there and take away what a program does not need. The logins "
        "are checkout_PROGRAM, at PostgreSQL shop_PROGRAM, for producer, consumer, notifier (not "
        "at RabbitMQ), mailer, webhooks and console (at PostgreSQL alone) and operator "
        "(checkoutctl). A program's password is in the file of its name in DIR; its "
        "CHECKOUT_*_PASSWORD_FILE name the same file. No password is printed. --apply leaves out "
        "mailer, webhooks and console while they have no file. PostgreSQL needs `checkoutctl "
        "migrate` first, which makes the roles that own the rights.",
    .options = {{"apply", NULL, "make the logins, instead of printing"},
                {"passwords", "DIR", "folder of the passwords (" DIRECTORY_DEFAULT ")"},
                {"vhost", "NAME",
                 "RabbitMQ's (" VHOST_DEFAULT "; --apply: that of CHECKOUT_AMQP_URL)"}},
    .run = run,
};
