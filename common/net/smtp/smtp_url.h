/* URLs of mail servers: smtp://[user[:password]@]host[:port], smtps:// for TLS from the start.
 * Pure. */
#ifndef COMMON_NET_SMTP_SMTP_URL_H
#define COMMON_NET_SMTP_SMTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define SMTP_URL_HOSTS_MAX 8
#define SMTP_URL_PART_SIZE 256

struct smtp_url {
    bool tls; /* from the start */
    char host[SMTP_URL_PART_SIZE];
    uint16_t port;
    char user[SMTP_URL_PART_SIZE]; /* "": no login */
    char password[SMTP_URL_PART_SIZE];
};

/* Several, separated by commas. How many, or ERR_PARSE with a static text in `ret_problem` that
 * repeats nothing of them. Wipe `ret_urls` when it is no longer needed. */
MUST_CHECK int smtp_url_parse(const char *urls, struct smtp_url ret_urls[SMTP_URL_HOSTS_MAX],
                              const char **ret_problem);

#endif
