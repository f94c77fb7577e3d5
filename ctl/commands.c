#include "ctl/command.h"

const struct command *const commands[] = {
#define COMMAND_ROW(row) &command_##row,
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
        NULL,
};
