#include <stdio.h>
#include <string.h>

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

static int print_rabbitmq(const struct roles_aim *aim)
{
    const char *vhost = aim->vhost == NULL ? VHOST_DEFAULT : aim->vhost;
    (void)printf("rabbitmqctl -q list_vhosts | grep -qxF '%s' || rabbitmqctl -q add_vhost '%s'\n",
                 vhost, vhost);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const struct role *role = &roles[i];
        if (role->configure == NULL)
            continue;
        const char *program = role->program;
        (void)printf("{ rabbitmqctl add_user checkout_%s <%s/%s 2>/dev/null ||\n"
                     "    rabbitmqctl change_password checkout_%s <%s/%s; } >/dev/null\n"
                     "rabbitmqctl -q set_user_tags checkout_%s %s\n"
                     "rabbitmqctl -q set_permissions -p '%s' checkout_%s '%s' '%s' '%s'\n",
                     program, aim->directory, program, program, aim->directory, program, program,
                     role->tag, vhost, program, role->configure, role->write, role->read);
    }
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
        "-e; checkoutctl roles redis | redis-cli. Both may run again at any time: they make what "
        "is not there and take away what a program does not need. The logins are "
        "checkout_PROGRAM, at PostgreSQL shop_PROGRAM, for producer, consumer, notifier (not at "
        "RabbitMQ), mailer, webhooks and console (at PostgreSQL alone) and operator "
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
