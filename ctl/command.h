/* The commands of checkoutctl: each is a row and a file of its family. */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/service/cfg.h"
#include "ctl/ctl.h"

#define COMMAND_OPTIONS_MAX 8
#define COMMAND_OPERANDS_MAX 9

struct command_option {
    const char *name;  /* without the dashes; NULL ends the list */
    const char *value; /* what the help calls its value; NULL: a switch */
    const char *help;
};

/* The typed arguments, by the command's own names. */
struct command_args {
    const char *operands[COMMAND_OPERANDS_MAX];
    const char *options[COMMAND_OPTIONS_MAX]; /* as in the command; NULL: not given; switch: "" */
};

struct command {
    const char *words;    /* "items import" */
    const char *operands; /* "FILE.csv", "" if it takes none */
    size_t operand_count;
    size_t optional_count; /* so many of the last ones are optional */
    const char *summary;   /* one line */
    const char *details;   /* for its own --help; one paragraph, or "" */
    struct command_option options[COMMAND_OPTIONS_MAX + 1];
    cfg_set settings; /* that it needs: CFG_BIT | … */
    bool patient;     /* it has queries that take long: see ctl.h */
    int (*run)(struct ctl *ctl, const struct command_args *args); /* returns an exit code */
};

/* Every command, in the order of the help. A new one is a row here, and a `command_<row>` in a
 * file. */
#define COMMANDS(X)                                                                                \
    X(migrate)                                                                                     \
    X(topology)                                                                                    \
    X(reshard)                                                                                     \
    X(items_import)                                                                                \
    X(items_list)                                                                                  \
    X(items_set)                                                                                   \
    X(items_restock)                                                                               \
    X(pause)                                                                                       \
    X(resume)                                                                                      \
    X(orders_list)                                                                                 \
    X(orders_show)                                                                                 \
    X(orders_explain)                                                                              \
    X(orders_cancel)                                                                               \
    X(orders_refund)                                                                               \
    X(orders_adopt)                                                                                \
    X(payments_unknown)                                                                            \
    X(payments_resolve)                                                                            \
    X(mails_list)                                                                                  \
    X(mails_show)                                                                                  \
    X(mails_retry)                                                                                 \
    X(mails_kinds)                                                                                 \
    X(webhooks_add)                                                                                \
    X(webhooks_list)                                                                               \
    X(webhooks_set)                                                                                \
    X(webhooks_remove)                                                                             \
    X(webhooks_pause)                                                                              \
    X(webhooks_resume)                                                                             \
    X(webhooks_key)                                                                                \
    X(webhooks_test)                                                                               \
    X(webhooks_deliveries)                                                                         \
    X(webhooks_replay)                                                                             \
    X(events_follow)                                                                               \
    X(events_listen)                                                                               \
    X(forget)                                                                                      \
    X(purge)                                                                                       \
    X(restore_status)                                                                              \
    X(restore_finish)                                                                              \
    X(top)                                                                                         \
    X(shards)                                                                                      \
    X(consumers)                                                                                   \
    X(dead_list)                                                                                   \
    X(dead_show)                                                                                   \
    X(dead_replay)                                                                                 \
    X(dead_drop)                                                                                   \
    X(audit)                                                                                       \
    X(token)                                                                                       \
    X(settings)                                                                                    \
    X(completion)                                                                                  \
    X(roles)                                                                                       \
    X(jwks_fetch)                                                                                  \
    X(healthcheck)                                                                                 \
    X(doctor)

#define COMMAND_DECLARE(row) extern const struct command command_##row;
COMMANDS(COMMAND_DECLARE)
#undef COMMAND_DECLARE

extern const struct command *const commands[]; /* NULL at the end */

/* The value of an option of `command`, NULL if it was not given. */
const char *command_option(const struct command *command, const struct command_args *args,
                           const char *name);
bool command_switch(const struct command *command, const struct command_args *args,
                    const char *name);
/* A number within limits; `fallback` without it. 0, or CTL_USAGE after printing the problem. */
MUST_CHECK int command_number(const struct command *command, const struct command_args *args,
                              const char *name, int64_t fallback, int64_t low, int64_t high,
                              int64_t *ret_number);

#endif
