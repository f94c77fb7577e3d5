/* Who listens: users and their open sockets, with the limits on both. No I/O. */
#ifndef NOTIFIER_REGISTRY_H
#define NOTIFIER_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "common/base/attrs.h"

#define HUB_USER_MAX 255

struct hub;
struct hub_user;

/* One socket, embedded in what it belongs to. */
struct hub_member {
    struct hub_user *user; /* NULL: not in the hub */
    void *owner;           /* set by whoever embeds it */
    TAILQ_ENTRY(hub_member) of_user;
    TAILQ_ENTRY(hub_member) of_all;
};

typedef void (*hub_member_cb)(struct hub_member *member, void *arg);

/* `members_max` sockets in all, `user_max` of one user. NULL: no memory. */
struct hub *hub_new(size_t members_max, size_t user_max);
/* Frees the hub and what it knows of users; the members stay their owners'. NULL is allowed. */
void hub_free(struct hub *hub);

size_t hub_members(const struct hub *hub);
size_t hub_users(const struct hub *hub);

/* Whether one more would be taken: 0, ERR_FULL (all), ERR_REFUSED (this user). */
MUST_CHECK int hub_room(const struct hub *hub, const char *user);
/* Adds a socket; `ret_first` tells whether it is its user's only one. ERR_NOMEM, ERR_FULL,
 * ERR_REFUSED, or ERR_INVALID for a name longer than HUB_USER_MAX. */
MUST_CHECK int hub_join(struct hub *hub, const char *user, struct hub_member *member,
                        bool *ret_first);
/* Removes it; true if its user has no other, and is now forgotten. */
bool hub_leave(struct hub *hub, struct hub_member *member);

/* NULL: has no socket here. */
struct hub_user *hub_find(const struct hub *hub, const char *user, size_t len);
const char *hub_user_name(const struct hub_user *user);
/* Whether events of this user reach us at present; the feed's to keep. */
bool hub_user_heard(const struct hub_user *user);
void hub_user_set_heard(struct hub_user *user, bool heard);

/* Call `cb` for each, in the order they came; `cb` may remove the member it is given, no other. */
void hub_each(struct hub_user *user, hub_member_cb cb, void *arg);
void hub_each_all(struct hub *hub, hub_member_cb cb, void *arg);

#endif
