#include "notifier/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/strmap.h"

TAILQ_HEAD(member_list, registry_member);

struct registry_user {
    struct strmap_entry of_all;
    char name[REGISTRY_USER_MAX + 1];
    bool heard;
    size_t count;
    struct member_list members;
};

struct registry {
    struct strmap users; /* by name */
    size_t member_count;
    size_t members_max;
    size_t user_max;
    struct member_list all;
};

struct registry *registry_new(size_t members_max, size_t user_max)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return NULL;
    registry->members_max = members_max;
    registry->user_max = user_max;
    TAILQ_INIT(&registry->all);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (struct strmap_entry *entry = strmap_next(&registry->users, NULL), *next; entry != NULL;
         entry = next) {
        next = strmap_next(&registry->users, entry);
        free(STRMAP_OF(entry, struct registry_user, of_all));
    }
    strmap_free(&registry->users);
    free(registry);
}

void registry_limit(struct registry *registry, size_t members_max)
{
    registry->members_max = members_max;
}

size_t registry_members(const struct registry *registry)
{
    return registry->member_count;
}

size_t registry_users(const struct registry *registry)
{
    return registry->users.count;
}

struct registry_user *registry_find(const struct registry *registry, const char *user, size_t len)
{
    return STRMAP_OF(strmap_find(&registry->users, user, len), struct registry_user, of_all);
}

int registry_room(const struct registry *registry, const char *user)
{
    if (registry->member_count >= registry->members_max)
        return ERR_FULL;
    const struct registry_user *known = registry_find(registry, user, strlen(user));
    return known != NULL && known->count >= registry->user_max ? ERR_REFUSED : 0;
}

static struct registry_user *add_user(struct registry *registry, const char *name, size_t len)
{
    struct registry_user *user = calloc(1, sizeof *user);
    if (user == NULL)
        return NULL;
    memcpy(user->name, name, len);
    TAILQ_INIT(&user->members);
    if (strmap_add(&registry->users, &user->of_all, user->name, len) < 0) {
        free(user);
        return NULL;
    }
    return user;
}

int registry_join(struct registry *registry, const char *user_name, struct registry_member *member,
                  bool *ret_first)
{
    size_t len = strlen(user_name);
    if (len > REGISTRY_USER_MAX)
        return ERR_INVALID;
    int code = registry_room(registry, user_name);
    if (code < 0)
        return code;
    struct registry_user *user = registry_find(registry, user_name, len);
    bool first = user == NULL;
    if (first)
        user = add_user(registry, user_name, len);
    if (user == NULL)
        return ERR_NOMEM;
    member->user = user;
    TAILQ_INSERT_TAIL(&user->members, member, of_user);
    TAILQ_INSERT_TAIL(&registry->all, member, of_all);
    user->count++;
    registry->member_count++;
    *ret_first = first;
    return 0;
}

bool registry_leave(struct registry *registry, struct registry_member *member)
{
    struct registry_user *user = member->user;
    assert(user != NULL);
    TAILQ_REMOVE(&user->members, member, of_user);
    TAILQ_REMOVE(&registry->all, member, of_all);
    member->user = NULL;
    registry->member_count--;
    if (--user->count > 0)
        return false;
    strmap_remove(&registry->users, &user->of_all);
    free(user);
    return true;
}

const char *registry_user_name(const struct registry_user *user)
{
    return user->name;
}

bool registry_user_heard(const struct registry_user *user)
{
    return user->heard;
}

void registry_user_set_heard(struct registry_user *user, bool heard)
{
    user->heard = heard;
}

void registry_each(struct registry_user *user, registry_member_cb cb, void *arg)
{
    struct registry_member *next = NULL;
    for (struct registry_member *m = TAILQ_FIRST(&user->members); m != NULL; m = next) {
        next =
            TAILQ_NEXT(m, of_user); /* read first: if `m` was the last, its user is freed with it */
        cb(m, arg);
    }
}

void registry_each_all(struct registry *registry, registry_member_cb cb, void *arg)
{
    struct registry_member *next = NULL;
    for (struct registry_member *m = TAILQ_FIRST(&registry->all); m != NULL; m = next) {
        next = TAILQ_NEXT(m, of_all);
        cb(m, arg);
    }
}
