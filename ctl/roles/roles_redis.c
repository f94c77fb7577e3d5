#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/roles/rights.h"
#include "ctl/roles/roles_apply.h"

#define RULES_SHOWN_MAX ((size_t)ROLES_ACL_SIZE * 4) /* Redis shows them at more length */

struct asking {
    struct ctl *ctl;
    const char *user; /* whose rules are looked for in a list */
    struct buf *rules;
    bool empty; /* the setting that was asked for */
    bool refused;
    char problem[CTL_PROBLEM_SIZE];
};

/* Of "user NAME on …", the line of our user. */
static void find_rules(struct asking *asking, const struct redis_reply *list)
{
    char start[ROLES_USER_SIZE + 8];
    int len = snprintf(start, sizeof start, "user %s ", asking->user);
    for (size_t i = 0; i < list->count; i++) {
        const struct redis_reply *line = &list->items[i];
        if (line->type == REDIS_STRING && line->len > (size_t)len &&
            memcmp(line->str, start, (size_t)len) == 0)
            (void)buf_append(asking->rules, line->str, line->len);
    }
}

static void answered(const struct redis_reply *reply, void *arg)
{
    struct asking *asking = arg;
    asking->refused = reply->type == REDIS_ERROR || reply->type == REDIS_LOST;
    if (reply->type == REDIS_ERROR)
        (void)snprintf(asking->problem, sizeof asking->problem, "%.*s", (int)reply->len,
                       reply->str);
    else if (reply->type == REDIS_LOST)
        (void)snprintf(asking->problem, sizeof asking->problem,
                       "the connection was lost; run it again");
    else if (reply->type == REDIS_ARRAY && asking->rules != NULL)
        find_rules(asking, reply);
    else if (reply->type == REDIS_ARRAY)
        asking->empty = reply->count == 2 && reply->items[1].len == 0;
    loop_stop(asking->ctl->loop);
}

/* Sends words and waits; false: asking->problem says why it failed. */
static bool ask(struct asking *asking, size_t count, const char *const *words)
{
    size_t lens[ROLES_ACL_WORDS_MAX];
    for (size_t i = 0; i < count; i++)
        lens[i] = strlen(words[i]);
    int code = redis_command(asking->ctl->redis, count, words, lens, answered, asking);
    if (code < 0) {
        (void)snprintf(asking->problem, sizeof asking->problem, "%s", err_text(code));
        return false;
    }
    loop_run(asking->ctl->loop);
    return !asking->refused;
}

static bool ask_rules(struct asking *asking, const char *user, struct buf *rules)
{
    static const char *const words[] = {"ACL", "LIST"};
    asking->user = user;
    asking->rules = rules;
    bool done = ask(asking, ARRAY_LEN(words), words);
    asking->rules = NULL;
    return done;
}

static bool apply_role(struct asking *asking, const struct role *role, const char *hash)
{
    struct roles_acl acl;
    struct buf before, after;
    int code = roles_acl(role, hash, &acl);
    if (code < 0) {
        (void)snprintf(asking->problem, sizeof asking->problem, "its rights: %s", err_text(code));
        return false;
    }
    buf_init(&before, RULES_SHOWN_MAX);
    buf_init(&after, RULES_SHOWN_MAX);
    bool done = ask_rules(asking, acl.user, &before) && ask(asking, acl.count, acl.words) &&
                ask_rules(asking, acl.user, &after);
    if (done)
        (void)printf("%s: %s\n", acl.user,
                     before.len == 0                                    ? "made"
                     : strcmp(buf_text(&before), buf_text(&after)) == 0 ? "as before"
                                                                        : "changed");
    buf_free(&before);
    buf_free(&after);
    return done;
}

/* A Redis without a file of users forgets them when it restarts. */
static int save(struct asking *asking)
{
    static const char *const look[] = {"CONFIG", "GET", "aclfile"};
    static const char *const words[] = {"ACL", "SAVE"};
    asking->empty = false;
    if (ask(asking, ARRAY_LEN(look), look) && asking->empty)
        (void)printf("Redis has no file of users (aclfile): `redis-cli config rewrite` keeps "
                     "these over its restart\n");
    else if (ask(asking, ARRAY_LEN(words), words))
        (void)printf("saved in Redis' file of users (aclfile)\n");
    else
        return ctl_complain(CTL_FAILED, "Redis has the users and does not save them (ACL SAVE): %s",
                            asking->problem);
    return CTL_FINE;
}

int roles_apply_redis(struct ctl *ctl, const struct roles_aim *aim)
{
    char hashes[ROLES_COUNT][ROLES_HASH_SIZE];
    struct asking asking = {.ctl = ctl};
    for (size_t i = 0; i < ROLES_COUNT; i++)
        if (roles[i].redis != NULL && roles_password_hash(aim->directory, &roles[i], hashes[i]) < 0)
            return CTL_FAILED;
    int exit_code = ctl_need(ctl, &contact_redis);
    if (exit_code != CTL_FINE)
        return exit_code;
    for (size_t i = 0; i < ROLES_COUNT; i++)
        if (roles[i].redis != NULL && !apply_role(&asking, &roles[i], hashes[i]))
            return ctl_complain(CTL_FAILED,
                                "Redis: checkout_%s: %s. CHECKOUT_REDIS_URL has to name a user "
                                "who may use ACL LIST, SETUSER and SAVE",
                                roles[i].program, asking.problem);
    return save(&asking);
}
