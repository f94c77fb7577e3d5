#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/broker_api.h"
#include "ctl/roles/rights.h"
#include "ctl/roles/roles_apply.h"

#define PATH_MAX_BYTES ((size_t)2048)
#define NOTHING_CHANGED "nothing was changed"
#define RUN_AGAIN "run it again"

struct user {
    const struct role *role;
    char name[ROLES_USER_SIZE];
    char hash[ROLES_SALTED_SIZE]; /* to be set */
    bool there;                   /* before; the rest was then as it has to be: */
    bool identity;                /* its password and its tags */
    bool rights;
};

struct making {
    struct broker_api api;
    const char *vhost;
    struct user users[ROLES_COUNT];
    size_t count;
    struct broker_api_answer answer;
};

/* ---- asking ---- */

/* "KIND/VHOST/NAME", without those that are NULL. */
static void ask(struct making *making, const char *method, const char *kind, const char *vhost,
                const char *name, const json_t *body)
{
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    (void)buf_str(&path, kind);
    if (vhost != NULL) {
        (void)buf_char(&path, '/');
        (void)percent_encode(&path, vhost);
    }
    if (name != NULL)
        (void)buf_printf(&path, "/%s", name);
    broker_api_answer_free(&making->answer);
    broker_api_call(&making->api, method, buf_text(&path), body, &making->answer);
    buf_free(&path);
}

/* What the answer means for whoever reads it. `rest`: what is to be said of the whole. */
static int complain(const struct making *making, const char *rest)
{
    const struct broker_api_answer *answer = &making->answer;
    const char *reason = json_string_value(json_object_get(answer->body, "reason"));
    if (reason == NULL)
        reason = "no reason given";
    if (answer->code < 0)
        return ctl_complain(CTL_FAILED,
                            "RabbitMQ's management API does not answer at "
                            "CHECKOUT_BROKER_API_URL: %s; %s. Is its plugin on (rabbitmq-plugins "
                            "enable rabbitmq_management)?",
                            answer->reason, rest);
    if (answer->status == 401 || answer->status == 403)
        return ctl_complain(CTL_FAILED,
                            "RabbitMQ's management API refuses the user of CHECKOUT_AMQP_URL "
                            "(%u, %.100s); %s. It has to be one with the tag administrator",
                            answer->status, reason, rest);
    return ctl_complain(CTL_FAILED, "RabbitMQ's management API answers %u (%.100s); %s",
                        answer->status, reason, rest);
}

/* ---- what is there ---- */

static bool is_text(const json_t *object, const char *member, const char *text)
{
    const char *value = json_string_value(json_object_get(object, member));
    return value != NULL && strcmp(value, text) == 0;
}

/* RabbitMQ lists tags, or before 3.9 has them in one text. */
static bool is_tagged(const json_t *user, const char *tag)
{
    const json_t *tags = json_object_get(user, "tags");
    if (!json_is_array(tags))
        return is_text(user, "tags", tag);
    if (tag[0] == '\0')
        return json_array_size(tags) == 0;
    const char *only = json_string_value(json_array_get(tags, 0));
    return json_array_size(tags) == 1 && only != NULL && strcmp(only, tag) == 0;
}

static bool has_password(const json_t *user, const char *password)
{
    const char *hash = json_string_value(json_object_get(user, "password_hash"));
    return is_text(user, "hashing_algorithm", ROLES_SALTED_ALGORITHM) && hash != NULL &&
           roles_salted_hash_is(hash, password);
}

/* Asks for what may be missing; false: something else came. */
static bool look(struct making *making, const char *kind, const char *vhost, const char *name,
                 bool *ret_there)
{
    ask(making, "GET", kind, vhost, name, NULL);
    const struct broker_api_answer *answer = &making->answer;
    *ret_there = answer->code == 0 && answer->status == 200 && json_is_object(answer->body);
    return *ret_there || (answer->code == 0 && answer->status == 404);
}

static int look_at_user(struct making *making, struct user *user, const char *password)
{
    const struct role *role = user->role;
    if (!look(making, "users", NULL, user->name, &user->there))
        return complain(making, NOTHING_CHANGED);
    const json_t *body = making->answer.body;
    user->identity = user->there && is_tagged(body, role->tag) && has_password(body, password);
    if (!look(making, "permissions", making->vhost, user->name, &user->rights))
        return complain(making, NOTHING_CHANGED);
    body = making->answer.body;
    user->rights = user->rights && is_text(body, "configure", role->configure) &&
                   is_text(body, "write", role->write) && is_text(body, "read", role->read);
    return CTL_FINE;
}

static int plan_user(struct making *making, const struct role *role, const char *directory)
{
    char password[ROLES_PASSWORD_MAX + 1];
    unsigned char salt[ROLES_SALT_BYTES];
    struct user *user = &making->users[making->count++];
    user->role = role;
    (void)snprintf(user->name, sizeof user->name, "checkout_%s", role->program);
    if (roles_password(directory, role, password) < 0)
        return CTL_FAILED;
    int exit_code = CTL_FAILED;
    if (RAND_bytes(salt, sizeof salt) == 1 && roles_salted_hash(password, salt, user->hash) == 0)
        exit_code = look_at_user(making, user, password);
    else
        (void)ctl_complain(CTL_FAILED, "no SHA-256 here");
    explicit_bzero(password, sizeof password);
    return exit_code;
}

static int plan(struct making *making, const char *directory)
{
    bool there;
    if (!look(making, "vhosts", making->vhost, NULL, &there))
        return complain(making, NOTHING_CHANGED);
    if (!there)
        return ctl_complain(CTL_FAILED,
                            "RabbitMQ has no virtual host %s; " NOTHING_CHANGED
                            ". Make it (rabbitmqctl add_vhost), or name another by --vhost",
                            making->vhost);
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < ROLES_COUNT && exit_code == CTL_FINE; i++)
        if (roles[i].configure != NULL)
            exit_code = plan_user(making, &roles[i], directory);
    return exit_code;
}

/* ---- what is to be there ---- */

static bool put(struct making *making, const char *kind, const char *vhost, const char *name,
                json_t *body)
{
    ask(making, "PUT", kind, vhost, name, body);
    json_decref(body);
    const struct broker_api_answer *answer = &making->answer;
    return answer->code == 0 && (answer->status == 201 || answer->status == 204);
}

/* First the user: a new one without rights may do nothing. */
static int make_user(struct making *making, const struct user *user)
{
    const struct role *role = user->role;
    if (!user->identity &&
        !put(making, "users", NULL, user->name,
             json_pack("{s:s, s:s, s:s}", "password_hash", user->hash, "hashing_algorithm",
                       ROLES_SALTED_ALGORITHM, "tags", role->tag)))
        return complain(making, RUN_AGAIN);
    if (!user->rights && !put(making, "permissions", making->vhost, user->name,
                              json_pack("{s:s, s:s, s:s}", "configure", role->configure, "write",
                                        role->write, "read", role->read)))
        return complain(making, RUN_AGAIN);
    (void)printf("%s: %s\n", user->name,
                 !user->there                     ? "made"
                 : user->identity && user->rights ? "as before"
                                                  : "changed");
    return CTL_FINE;
}

int roles_apply_rabbitmq(struct ctl *ctl, const struct roles_aim *aim)
{
    struct making making = {.count = 0};
    if (cfg_str(ctl->cfg, CFG_BROKER_API_URL)[0] == '\0')
        return ctl_complain(CTL_USAGE,
                            "CHECKOUT_BROKER_API_URL is not set: RabbitMQ takes users by its "
                            "management API. Without that, give the text to its own tool on its "
                            "host: checkoutctl roles rabbitmq | sh -e");
    int code = broker_api_open(ctl, &making.api);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s", err_text(code));
    making.vhost = aim->vhost == NULL ? making.api.vhost : aim->vhost;
    int exit_code = plan(&making, aim->directory);
    for (size_t i = 0; i < making.count && exit_code == CTL_FINE; i++)
        exit_code = make_user(&making, &making.users[i]);
    broker_api_answer_free(&making.answer);
    broker_api_close(&making.api);
    return exit_code;
}
