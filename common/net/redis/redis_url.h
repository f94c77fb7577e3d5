/* redis[s]://[user:password@]host[:port][/database], split into its parts. */
#ifndef COMMON_NET_REDIS_REDIS_URL_H
#define COMMON_NET_REDIS_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define REDIS_URL_PART_MAX 255

/* Decoded; "" where absent. */
struct redis_url {
    bool tls; /* rediss:// */
    char user[REDIS_URL_PART_MAX + 1];
    char password[REDIS_URL_PART_MAX + 1];
    char host[REDIS_URL_PART_MAX + 1]; /* IPv6 without its brackets */
    uint16_t port;                     /* 6379 if absent */
    uint32_t database;                 /* 0 if absent */
};

/* 0, or ERR_PARSE with a static text in `ret_problem` that does not repeat the URL. A password may
 * come without a user (redis://:password@host), a user needs a password. */
MUST_CHECK int redis_url_parse(const char *text, struct redis_url *ret_url,
                               const char **ret_problem);

#endif
