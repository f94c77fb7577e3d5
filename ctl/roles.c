#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/base/encode.h"
#include "common/net/redis/redis_url.h"
#include "common/shop/redis_keys.h"
#include "ctl/command.h"

#define DIRECTORY_DEFAULT "/etc/checkout/passwords"
#define VHOST_DEFAULT "/"
#define PASSWORD_MAX REDIS_URL_PART_MAX
#define HASH_BYTES 32 /* SHA-256 */

#define ALL_KEYS "~" REDIS_KEY_SEEN "* ~" REDIS_KEY_GATE "* ~" REDIS_KEY_LOCK "*"
#define EVENTS "&" REDIS_CHANNEL_EVENTS "*"
/* What every connection does: login, its checks, its pings. */
#define REDIS_ALWAYS "+auth +hello +select +ping"

/*
 * What each program may do at RabbitMQ (configure, write, read: regular expressions of names) and
 * at Redis. PostgreSQL's rights are schemas/sql/functions/roles.sql. The test that sells with these
 * alone is tests/integration/test_rights.py.
 */
static const struct role {
    const char *program;
    const char *configure; /* NULL: the program does not use RabbitMQ */
    const char *write;
    const char *read;
    const char *redis; /* NULL: it does not use Redis */
} roles[] = {
    {"producer", "^$", "^checkout\\.jobs", "^$",
     ALL_KEYS " ~" REDIS_KEY_LIMIT "* ~" REDIS_KEY_OPEN "* " EVENTS " " REDIS_ALWAYS
              " +info +eval +evalsha +time +set +get +mget +del +subscribe +unsubscribe"
              " ~" REDIS_KEY_SENDERS "* +zadd +zcard +zrem +zremrangebyscore +pexpire"
              " +hincrby +expire"},
    {"consumer", "^$", "^checkout\\.dead$", "^checkout\\.",
     ALL_KEYS " ~" REDIS_KEY_OPEN "* " EVENTS " " REDIS_ALWAYS
              " +eval +set +get +del +publish +zrem"},
    {"notifier", NULL, NULL, NULL, EVENTS " " REDIS_ALWAYS " +subscribe +unsubscribe"},
    {"mailer", NULL, NULL, NULL, NULL},
    {"webhooks", NULL, NULL, NULL, NULL},
    {"console", NULL, NULL, NULL, NULL},
    {"operator", "^checkout\\.", "^checkout\\.", "^checkout\\.",
     ALL_KEYS " ~" REDIS_KEY_SENDERS "* ~" REDIS_KEY_LIMIT "* ~" REDIS_KEY_OPEN "* " EVENTS
              " " REDIS_ALWAYS
              " +info +eval +time +set +get +del +pttl +hgetall +publish +subscribe +unsubscribe"},
};

struct printing {
    const char *directory; /* of the passwords */
    const char *vhost;
};

/* ---- PostgreSQL: for psql ---- */

static int print_postgresql(const struct printing *printing)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const char *program = roles[i].program;
        (void)printf("\\set password `cat %s/%s`\n"
                     "select 'create role shop_%s' where not exists "
                     "(select from pg_roles where rolname = 'shop_%s') \\gexec\n"
                     "alter role shop_%s login password :'password';\n"
                     "grant checkout_%s to shop_%s;\n",
                     printing->directory, program, program, program, program, program, program);
    }
    return CTL_FINE;
}

/* ---- RabbitMQ: for a shell on its host ---- */

static int print_rabbitmq(const struct printing *printing)
{
    (void)printf("rabbitmqctl -q list_vhosts | grep -qxF '%s' || rabbitmqctl -q add_vhost '%s'\n",
                 printing->vhost, printing->vhost);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        const struct role *role = &roles[i];
        if (role->configure == NULL)
            continue;
        const char *program = role->program;
        (void)printf("{ rabbitmqctl -q add_user checkout_%s <%s/%s 2>/dev/null ||\n"
                     "    rabbitmqctl -q change_password checkout_%s <%s/%s; } >/dev/null\n"
                     "rabbitmqctl -q set_permissions -p '%s' checkout_%s '%s' '%s' '%s'\n",
                     program, printing->directory, program, program, printing->directory, program,
                     printing->vhost, program, role->configure, role->write, role->read);
    }
    return CTL_FINE;
}

/* ---- Redis: for redis-cli ---- */

/* The password's hash, which is all that Redis keeps. False after printing the problem. */
static bool hash_password(const struct printing *printing, const char *program,
                          char ret_hex[HEX_SIZE(HASH_BYTES)])
{
    char path[512], password[PASSWORD_MAX + 2];
    unsigned char hash[HASH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", printing->directory, program);
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(password, 1, sizeof password, file);
    if (file != NULL)
        (void)fclose(file);
    if (len > 0 && password[len - 1] == '\n')
        len--;
    if (len == 0 || len > PASSWORD_MAX) {
        (void)ctl_complain(CTL_FAILED, "%s: no password of 1 to %d bytes in it", path,
                           PASSWORD_MAX);
        return false;
    }
    bool hashed = EVP_Q_digest(NULL, "SHA256", NULL, password, len, hash, NULL) == 1;
    explicit_bzero(password, sizeof password);
    hex_encode(hash, sizeof hash, ret_hex);
    return hashed;
}

static int print_redis(const struct printing *printing)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        char hash[HEX_SIZE(HASH_BYTES)];
        if (roles[i].redis == NULL)
            continue;
        if (!hash_password(printing, roles[i].program, hash))
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

static int run(struct ctl *ctl, const struct command_args *args)
{
    static const struct {
        const char *server;
        int (*print)(const struct printing *printing);
    } servers[] = {
        {"postgresql", print_postgresql}, {"rabbitmq", print_rabbitmq}, {"redis", print_redis}};
    (void)ctl;
    const char *directory = command_option(&command_roles, args, "passwords");
    const char *vhost = command_option(&command_roles, args, "vhost");
    const struct printing printing = {directory == NULL ? DIRECTORY_DEFAULT : directory,
                                      vhost == NULL ? VHOST_DEFAULT : vhost};
    if (!is_plain(printing.directory) || !is_plain(printing.vhost))
        return ctl_complain(CTL_USAGE, "--passwords and --vhost take letters, digits and / . _ -");
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (strcmp(args->operands[0], servers[i].server) == 0)
            return servers[i].print(&printing);
    return ctl_complain(CTL_USAGE, "SERVER is postgresql, rabbitmq or redis, not %s",
                        args->operands[0]);
}

const struct command command_roles = {
    .words = "roles",
    .operands = "SERVER",
    .operand_count = 1,
    .summary = "prints the logins of the programs, and their rights",
    .details =
        "SERVER is postgresql, rabbitmq or redis. Give the text to that server's own tool: "
        "checkoutctl roles postgresql | psql; checkoutctl roles rabbitmq | sh; checkoutctl "
        "roles redis | redis-cli. It may run again at any time: it makes what is not there "
        "and takes away what a program does not need. The logins are checkout_PROGRAM, at "
        "PostgreSQL shop_PROGRAM, for producer, consumer, notifier (not at RabbitMQ), mailer and "
        "console (at PostgreSQL alone) and operator (checkoutctl). A program's password is in the "
        "file of its name in DIR; "
        "its CHECKOUT_*_PASSWORD_FILE name the same file. No password is printed."
        " PostgreSQL needs `checkoutctl migrate` first, which makes the roles that own "
        "the rights.",
    .options = {{"passwords", "DIR", "folder of the passwords (" DIRECTORY_DEFAULT ")"},
                {"vhost", "NAME", "RabbitMQ's virtual host (" VHOST_DEFAULT ")"}},
    .run = run,
};
