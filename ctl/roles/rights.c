#include "ctl/roles/rights.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/redis_keys.h"
#include "ctl/ctl.h"

#define ALL_KEYS "~" REDIS_KEY_SEEN "* ~" REDIS_KEY_GATE "* ~" REDIS_KEY_LOCK "*"
#define EVENTS "&" REDIS_CHANNEL_EVENTS "*"
/* What every connection does: login, its checks, its pings. */
#define REDIS_ALWAYS "+auth +hello +select +ping"

/*
 * What each program may do at RabbitMQ (configure, write, read: regular expressions of names; the
 * tag lets `checkoutctl doctor` look for policies) and at Redis. PostgreSQL's rights are
 * schemas/sql/functions/roles.sql. The test that sells with these alone is
 * tests/integration/test_rights.py.
 */
const struct role roles[ROLES_COUNT] = {
    {"producer", "^$", "^checkout\\.jobs", "^$", "",
     ALL_KEYS " ~" REDIS_KEY_LIMIT "* ~" REDIS_KEY_OPEN "* " EVENTS " " REDIS_ALWAYS
              " +info +eval +evalsha +time +set +get +mget +del +subscribe +unsubscribe"
              " ~" REDIS_KEY_SENDERS "* +zadd +zcard +zrem +zremrangebyscore +pexpire"
              " +hincrby +expire",
     false},
    {"consumer", "^$", "^checkout\\.(dead|milestones)$", "^checkout\\.", "",
     ALL_KEYS " ~" REDIS_KEY_OPEN "* " EVENTS " " REDIS_ALWAYS
              " +eval +set +get +del +pttl +pexpire +publish +zrem",
     false},
    {"notifier", NULL, NULL, NULL, NULL, EVENTS " " REDIS_ALWAYS " +subscribe +unsubscribe", false},
    {"mailer", NULL, NULL, NULL, NULL, NULL, true},
    {"webhooks", NULL, NULL, NULL, NULL, NULL, true},
    {"console", NULL, NULL, NULL, NULL, NULL, true},
    {"operator", "^checkout\\.", "^checkout\\.", "^checkout\\.", "management",
     ALL_KEYS " ~" REDIS_KEY_SENDERS "* ~" REDIS_KEY_LIMIT "* ~" REDIS_KEY_OPEN "* " EVENTS
              " " REDIS_ALWAYS
              " +info +eval +time +set +get +del +scan +pttl +hgetall +publish +subscribe"
              " +unsubscribe",
     false},
};

/* ---- passwords ---- */

int roles_password(const char *directory, const struct role *role,
                   char ret_password[ROLES_PASSWORD_MAX + 1])
{
    char path[512], password[ROLES_PASSWORD_MAX + 2];
    (void)snprintf(path, sizeof path, "%s/%s", directory, role->program);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        bool missing = errno == ENOENT;
        if (!missing || !role->optional)
            (void)ctl_complain(CTL_FAILED, "%s: %s", path, strerror(errno));
        return missing ? ERR_NOT_FOUND : ERR_PARSE;
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* no copy of it stays behind */
    size_t len = fread(password, 1, sizeof password, file);
    (void)fclose(file); /* only read */
    if (len > 0 && password[len - 1] == '\n')
        len--;
    bool suits = len > 0 && len <= ROLES_PASSWORD_MAX && memchr(password, '\0', len) == NULL;
    if (suits) {
        memcpy(ret_password, password, len);
        ret_password[len] = '\0';
    } else {
        (void)ctl_complain(CTL_FAILED, "%s: no password of 1 to %d bytes in it", path,
                           ROLES_PASSWORD_MAX);
    }
    explicit_bzero(password, sizeof password);
    return suits ? 0 : ERR_PARSE;
}

int roles_password_hash(const char *directory, const struct role *role,
                        char ret_hex[ROLES_HASH_SIZE])
{
    char password[ROLES_PASSWORD_MAX + 1];
    unsigned char hash[ROLES_HASH_BYTES];
    int code = roles_password(directory, role, password);
    if (code < 0)
        return code;
    bool hashed = EVP_Q_digest(NULL, "SHA256", NULL, password, strlen(password), hash, NULL) == 1;
    explicit_bzero(password, sizeof password);
    hex_encode(hash, sizeof hash, ret_hex);
    if (!hashed)
        (void)ctl_complain(CTL_FAILED, "no SHA-256 here");
    return hashed ? 0 : ERR_NOMEM;
}

/* ---- RabbitMQ's hashes ---- */

int roles_salted_hash(const char *password, const unsigned char salt[ROLES_SALT_BYTES],
                      char ret_text[ROLES_SALTED_SIZE])
{
    unsigned char salted[ROLES_SALT_BYTES + ROLES_PASSWORD_MAX];
    unsigned char hashed[ROLES_SALT_BYTES + ROLES_HASH_BYTES];
    size_t len = strnlen(password, ROLES_PASSWORD_MAX);
    memcpy(salted, salt, ROLES_SALT_BYTES);
    memcpy(salted + ROLES_SALT_BYTES, password, len);
    memcpy(hashed, salt, ROLES_SALT_BYTES);
    bool done = EVP_Q_digest(NULL, "SHA256", NULL, salted, ROLES_SALT_BYTES + len,
                             hashed + ROLES_SALT_BYTES, NULL) == 1;
    explicit_bzero(salted, sizeof salted);
    if (!done)
        return ERR_NOMEM;
    base64_encode(hashed, sizeof hashed, ret_text);
    return 0;
}

bool roles_salted_hash_is(const char *text, const char *password)
{
    unsigned char bytes[ROLES_SALT_BYTES + ROLES_HASH_BYTES];
    char ours[ROLES_SALTED_SIZE];
    size_t count = 0;
    return base64_decode(text, strlen(text), bytes, sizeof bytes, &count) == 0 &&
           count == sizeof bytes && roles_salted_hash(password, bytes, ours) == 0 &&
           strcmp(text, ours) == 0;
}

int roles_password_salted(const char *directory, const struct role *role,
                          char ret_text[ROLES_SALTED_SIZE])
{
    char password[ROLES_PASSWORD_MAX + 1];
    unsigned char salt[ROLES_SALT_BYTES];
    int code = roles_password(directory, role, password);
    if (code < 0)
        return code;
    bool hashed =
        RAND_bytes(salt, sizeof salt) == 1 && roles_salted_hash(password, salt, ret_text) == 0;
    explicit_bzero(password, sizeof password);
    if (!hashed)
        (void)ctl_complain(CTL_FAILED, "no SHA-256 here");
    return hashed ? 0 : ERR_NOMEM;
}

/* ---- Redis' words ---- */

int roles_acl(const struct role *role, const char hash[ROLES_HASH_SIZE], struct roles_acl *ret_acl)
{
    (void)snprintf(ret_acl->user, sizeof ret_acl->user, "checkout_%s", role->program);
    int len = snprintf(ret_acl->text, sizeof ret_acl->text, "reset on #%s %s", hash, role->redis);
    if (len < 0 || (size_t)len >= sizeof ret_acl->text)
        return ERR_FULL;
    const char *const command[] = {"ACL", "SETUSER", ret_acl->user};
    memcpy(ret_acl->words, command, sizeof command);
    ret_acl->count = ARRAY_LEN(command);
    char *rest = NULL;
    for (char *word = strtok_r(ret_acl->text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        if (ret_acl->count == ROLES_ACL_WORDS_MAX)
            return ERR_FULL;
        ret_acl->words[ret_acl->count++] = word;
    }
    return 0;
}
