/* The command line: finds the command, reads its options, prints the help. */
#ifndef CTL_CLI_H
#define CTL_CLI_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "ctl/command.h"

struct cli {
    const struct command *command; /* NULL: print help or the version */
    const char *family;            /* the family for --help, like "items"; NULL: none */
    struct command_args args;
    bool json;
    bool help;
    bool version;
};

/* Pure. 0 with `ret_cli`, or CTL_USAGE with one line in `ret_problem`. Points into argv. */
MUST_CHECK int cli_parse(int argc, char *const *argv, struct cli *ret_cli, struct buf *ret_problem);
/* The requested help: of a command, of a family of commands, or of all. */
int cli_help(const struct cli *cli, struct buf *out);

#endif
