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
#define ROLES_SALT_BYTES 4 /* of RabbitMQ's hashes */
#define ROLES_SALTED_SIZE BASE64_SIZE(ROLES_SALT_BYTES + ROLES_HASH_BYTES)
#define ROLES_SALTED_ALGORITHM "rabbit_password_hashing_sha256"
#define ROLES_USER_SIZE 64
#define ROLES_ACL_WORDS_MAX 64
#define ROLES_ACL_SIZE 1024

/* Of one program. At RabbitMQ: regular expressions of names. */
struct role {
    const char *program;
    const char *configure; /* NULL: the program does not use RabbitMQ */
    const char *write;
    const char *read;
    const char *tag;   /* that it needs there; "": none */
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

/* The password's salted hash, which is all that RabbitMQ keeps. As roles_password. */
MUST_CHECK int roles_password_salted(const char *directory, const struct role *role,
                                     char ret_text[ROLES_SALTED_SIZE]);

/* What RabbitMQ keeps instead of a password (salted SHA-256, base64). ERR_NOMEM. */
MUST_CHECK int roles_salted_hash(const char *password, const unsigned char salt[ROLES_SALT_BYTES],
                                 char ret_text[ROLES_SALTED_SIZE]);
/* Whether `text` is that of this password; any text may be asked about. */
bool roles_salted_hash_is(const char *text, const char *password);

/* The words of an ACL SETUSER, which point into `text`. */
struct roles_acl {
    char user[ROLES_USER_SIZE];
    char text[ROLES_ACL_SIZE];
    const char *words[ROLES_ACL_WORDS_MAX];
    size_t count;
};

/* All that `role` may do at Redis, and nothing else. ERR_FULL: it does not fit; send nothing. */
MUST_CHECK int roles_acl(const struct role *role, const char hash[ROLES_HASH_SIZE],
                         struct roles_acl *ret_acl);

#endif
