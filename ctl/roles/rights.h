/* What each program may do at the servers, and the passwords of their logins. */
#ifndef CTL_ROLES_RIGHTS_H
#define CTL_ROLES_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/encode.h"
#include "common/net/redis/redis_url.h"

#define ROLES_COUNT 7
#define ROLES_PASSWORD_MAX REDIS_URL_PART_MAX
#define ROLES_HASH_BYTES 32 /* SHA-256 */
#define ROLES_HASH_SIZE HEX_SIZE(ROLES_HASH_BYTES)

/* Of one program. At RabbitMQ: regular expressions of names. */
struct role {
    const char *program;
    const char *configure; /* NULL: the program does not use RabbitMQ */
    const char *write;
    const char *read;
    const char *redis; /* words of ACL SETUSER, separated by spaces; NULL: it does not use Redis */
    bool optional;     /* a shop may do without it, and without a password of it */
};

extern const struct role roles[ROLES_COUNT];

/* The password in the file of the program's name in `directory`; wipe it after use. 0,
 * ERR_NOT_FOUND (no such file), or ERR_PARSE; the latter two after printing the problem, but not
 * for the missing file of an optional program. */
MUST_CHECK int roles_password(const char *directory, const struct role *role,
                              char ret_password[ROLES_PASSWORD_MAX + 1]);
/* The password's hash, which is all that Redis keeps. As roles_password. */
MUST_CHECK int roles_password_hash(const char *directory, const struct role *role,
                                   char ret_hex[ROLES_HASH_SIZE]);

#endif
