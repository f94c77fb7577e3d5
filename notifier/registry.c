#include "notifier/registry.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

/*
 * Users are a balanced tree by name (tsearch): names are chosen outside, and finding one has a
 * bound whatever they are.
 */

TAILQ_HEAD(member_list, hub_member);

struct hub_user {
    size_t len;
    char name[HUB_USER_MAX + 1];
    bool heard;
    size_t count;
    struct member_list members;
};

struct hub {
    void *users; /* tree of struct hub_user */
    size_t user_count;
    size_t member_count;
    size_t members_max;
    size_t user_max;
    struct member_list all;
};

/* What a search compares: the start of a user. */
struct key {
    size_t len;
    const char *name;
};

static int compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_users(const void *a, const void *b)
{
    const struct hub_user *x = a;
    const struct hub_user *y = b;
    return compare_names(x->name, x->len, y->name, y->len);
}

static int compare_key(const void *a, const void *b)
{
    const struct key *key = a;
    const struct hub_user *user = b;
    return compare_names(key->name, key->len, user->name, user->len);
}

struct hub *hub_new(size_t members_max, size_t user_max)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    hub->members_max = members_max;
    hub->user_max = user_max;
    TAILQ_INIT(&hub->all);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    tdestroy(hub->users, free);
    free(hub);
}

size_t hub_members(const struct hub *hub)
{
    return hub->member_count;
}

size_t hub_users(const struct hub *hub)
{
    return hub->user_count;
}

struct hub_user *hub_find(const struct hub *hub, const char *user, size_t len)
{
    struct key key = {len, user};
    void *node = tfind(&key, &hub->users, compare_key);
    return node == NULL ? NULL : *(struct hub_user **)node;
}

int hub_room(const struct hub *hub, const char *user)
{
    if (hub->member_count >= hub->members_max)
        return ERR_FULL;
    const struct hub_user *known = hub_find(hub, user, strlen(user));
    return known != NULL && known->count >= hub->user_max ? ERR_REFUSED : 0;
}

static struct hub_user *add_user(struct hub *hub, const char *name, size_t len)
{
    struct hub_user *user = calloc(1, sizeof *user);
    if (user == NULL)
        return NULL;
    user->len = len;
    memcpy(user->name, name, len);
    TAILQ_INIT(&user->members);
    if (tsearch(user, &hub->users, compare_users) == NULL) {
        free(user);
        return NULL;
    }
    hub->user_count++;
    return user;
}

int hub_join(struct hub *hub, const char *user_name, struct hub_member *member, bool *ret_first)
{
    size_t len = strlen(user_name);
    if (len > HUB_USER_MAX)
        return ERR_INVALID;
    int code = hub_room(hub, user_name);
    if (code < 0)
        return code;
    struct hub_user *user = hub_find(hub, user_name, len);
    bool first = user == NULL;
    if (first)
        user = add_user(hub, user_name, len);
    if (user == NULL)
        return ERR_NOMEM;
    member->user = user;
    TAILQ_INSERT_TAIL(&user->members, member, of_user);
    TAILQ_INSERT_TAIL(&hub->all, member, of_all);
    user->count++;
    hub->member_count++;
    *ret_first = first;
    return 0;
}

bool hub_leave(struct hub *hub, struct hub_member *member)
{
    struct hub_user *user = member->user;
    assert(user != NULL);
    TAILQ_REMOVE(&user->members, member, of_user);
    TAILQ_REMOVE(&hub->all, member, of_all);
    member->user = NULL;
    hub->member_count--;
    if (--user->count > 0)
        return false;
    (void)tdelete(user, &hub->users, compare_users);
    free(user);
    hub->user_count--;
    return true;
}

const char *hub_user_name(const struct hub_user *user)
{
    return user->name;
}

bool hub_user_heard(const struct hub_user *user)
{
    return user->heard;
}

void hub_user_set_heard(struct hub_user *user, bool heard)
{
    user->heard = heard;
}

void hub_each(struct hub_user *user, hub_member_cb cb, void *arg)
{
    struct hub_member *next = NULL;
    for (struct hub_member *m = TAILQ_FIRST(&user->members); m != NULL; m = next) {
        next = TAILQ_NEXT(m, of_user); /* read first: if `m` was the last, its user goes with it */
        cb(m, arg);
    }
}

void hub_each_all(struct hub *hub, hub_member_cb cb, void *arg)
{
    struct hub_member *next = NULL;
    for (struct hub_member *m = TAILQ_FIRST(&hub->all); m != NULL; m = next) {
        next = TAILQ_NEXT(m, of_all);
        cb(m, arg);
    }
}
