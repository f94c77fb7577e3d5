/* Who listens: users and their open sockets, with the limits on both. No I/O. */
#ifndef NOTIFIER_REGISTRY_H
#define NOTIFIER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "common/base/attrs.h"

#define REGISTRY_USER_MAX 255

struct registry;
struct registry_user;

/* One socket, embedded in what it belongs to. */
struct registry_member {
    struct registry_user *user; /* NULL: not in the registry */
    void *owner;                /* set by whoever embeds it */
    TAILQ_ENTRY(registry_member) of_user;
    TAILQ_ENTRY(registry_member) of_all;
};

typedef void (*registry_member_cb)(struct registry_member *member, void *arg);

/* At most `members_max` sockets in all, `user_max` of one user. NULL: no memory. */
struct registry *registry_new(size_t members_max, size_t user_max);
/* Frees the registry and its users, not the members. NULL is allowed. */
void registry_free(struct registry *registry);

/* From now on at most so many sockets in all. */
void registry_limit(struct registry *registry, size_t members_max);
size_t registry_members(const struct registry *registry);
size_t registry_users(const struct registry *registry);

/* Whether there is room for one more: 0, ERR_FULL (all), ERR_REFUSED (this user). */
MUST_CHECK int registry_room(const struct registry *registry, const char *user);
/* Adds a socket; `ret_first`: whether it is its user's only one. ERR_NOMEM, ERR_FULL, ERR_REFUSED,
 * or ERR_INVALID for a name longer than REGISTRY_USER_MAX. */
MUST_CHECK int registry_join(struct registry *registry, const char *user,
                             struct registry_member *member, bool *ret_first);
/* Removes it; true if its user has no other, and is now forgotten. */
bool registry_leave(struct registry *registry, struct registry_member *member);

/* NULL: the user has no socket here. */
struct registry_user *registry_find(const struct registry *registry, const char *user, size_t len);
const char *registry_user_name(const struct registry_user *user);
/* Whether events of this user reach us at present; subscriptions.c sets it. */
bool registry_user_heard(const struct registry_user *user);
void registry_user_set_heard(struct registry_user *user, bool heard);

/* Call `cb` for each, in the order of arrival; `cb` may remove its own member, no other. */
void registry_each(struct registry_user *user, registry_member_cb cb, void *arg);
void registry_each_all(struct registry *registry, registry_member_cb cb, void *arg);

#endif
