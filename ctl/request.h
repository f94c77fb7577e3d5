/*
 * Commands: a row that the owner of the item's shard executes. Writes it, waits, and prints the
 * result.
 */
#ifndef CTL_REQUEST_H
#define CTL_REQUEST_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/command.h"

/* The option that every command of this kind has; request_timeout reads it. */
#define REQUEST_TIMEOUT_OPTION                                                                     \
    {                                                                                              \
        "timeout", "30s", "how long to wait for the result, with s, m or h"                        \
    }

struct request {
    const char *kind;     /* of checkout.commands */
    const char *sku;      /* NULL: of the shard */
    const char *order_id; /* not NULL: of this order */
    int64_t shard;        /* if there is neither */
    const char *argument; /* JSON; NULL: none */
    int64_t timeout_ms;
};

#define REQUEST_WHO_SIZE 160

/* Who runs this, as "login@host": whom records of commands name. */
void request_who(char ret_text[REQUEST_WHO_SIZE]);
/* 0, or CTL_USAGE after printing the problem. */
MUST_CHECK int request_timeout(const struct command *command, const struct command_args *args,
                               int64_t *ret_ms);
/* Returns an exit code: CTL_FINE if it was done, CTL_FAILED if it was refused or stays pending. */
MUST_CHECK int request_run(struct ctl *ctl, const struct request *request);

#endif
