/* What the files of cfg share: the table's rows, and the checks of single values. */
#ifndef COMMON_SERVICE_CFG_IMPL_H
#define COMMON_SERVICE_CFG_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/service/cfg.h"

#define CFG_PREFIX "CHECKOUT_"

enum cfg_type {
    CFG_TYPE_STRING,
    CFG_TYPE_WORD, /* may stand in a header */
    CFG_TYPE_INTEGER,
    CFG_TYPE_POWER_OF_TWO,
    CFG_TYPE_DURATION,
    CFG_TYPE_ADDRESS,
    CFG_TYPE_LEVEL,
    CFG_TYPE_ORIGINS,
    CFG_TYPE_FILE,
    CFG_TYPE_SECRET_FILE,
    CFG_TYPE_SECRET_WORD_FILE,    /* ... whose secret is visible ASCII */
    CFG_TYPE_SECRET_HEADERS_FILE, /* ... of header lines */
    CFG_TYPE_BOOLEAN,             /* true or false; its number is 1 or 0 */
    CFG_TYPE_AMQP_URLS,
    CFG_TYPE_DATABASE_URL,
    CFG_TYPE_REDIS_URL,
    CFG_TYPE_HTTP_URL,
    CFG_TYPE_WS_URL,
    CFG_TYPE_PAGE_URL, /* of a web page: it may have a query */
    CFG_TYPE_METHODS,  /* payment methods */
    CFG_TYPE_RATE,     /* so many in a time, like 60/1m; 0: no limit */
    CFG_TYPE_RATIO,    /* from 0 to 1; its number is in millionths */
    CFG_TYPE_NETWORKS, /* IP addresses and networks */
    CFG_TYPE_SMTP_URLS,
    CFG_TYPE_EMAIL,
    CFG_TYPE_LINE, /* UTF-8 of one line; its bounds are those of its length */
};

struct cfg_row {
    const char *name;
    const char *def; /* NULL: must be set */
    const char *help;
    int64_t low;
    int64_t high;
    enum cfg_type type;
    uint32_t programs;
};

extern const struct cfg_row cfg_rows[CFG_COUNT];

/* The meaning of a setting's text; all owned. */
struct cfg_value {
    char *text;
    int64_t number;
    int64_t period_s; /* of a rate */
    char *secret;
    size_t secret_len;
    char *host;
    uint16_t port;
    bool set; /* given, not the default */
};

struct cfg {
    uint32_t program;
    struct cfg_value values[CFG_COUNT];
};

/* Reads `text` by the row's type into `value` (whose text is set already). 0, or ERR_CONFIG with
 * what is wrong in `problem`, or ERR_NOMEM. */
MUST_CHECK int cfg_check(const struct cfg_row *row, const char *text, struct cfg_value *value,
                         struct buf *problem);

/* Of mails: 0, or ERR_CONFIG with what is wrong in `problem`. */
MUST_CHECK int cfg_check_smtp(const char *text, struct buf *problem);
MUST_CHECK int cfg_check_email(const char *text, struct buf *problem);
MUST_CHECK int cfg_check_line(const struct cfg_row *row, const char *text, struct buf *problem);

/* Of header lines, with a newline between two: 0, or ERR_CONFIG with the rest of a sentence in
 * `problem`. */
MUST_CHECK int cfg_check_headers(const char *lines, struct buf *problem);

/* Puts the password of a file into each URL of a setting, percent-encoded. 0, ERR_NOMEM, or
 * ERR_CONFIG with the beginning of a text that the name of the file's setting ends. */
MUST_CHECK int cfg_add_password(struct cfg_value *url, const struct cfg_value *password,
                                bool user_needed, const char **ret_problem);

/* Whether a variable ("NAME=value") has the form of a Service link of Kubernetes: an environment is
 * shared, and a Service may be called checkout. */
bool cfg_is_service_link(const char *entry);

#endif
