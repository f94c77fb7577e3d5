#include "ctl/command.h"

#include <string.h>

#include "common/base/parse.h"

const char *command_option(const struct command *command, const struct command_args *args,
                           const char *name)
{
    for (size_t i = 0; command->options[i].name != NULL; i++)
        if (strcmp(command->options[i].name, name) == 0)
            return args->options[i];
    return NULL;
}

bool command_switch(const struct command *command, const struct command_args *args,
                    const char *name)
{
    return command_option(command, args, name) != NULL;
}

int command_number(const struct command *command, const struct command_args *args, const char *name,
                   int64_t fallback, int64_t low, int64_t high, int64_t *ret_number)
{
    const char *text = command_option(command, args, name);
    if (text == NULL) {
        *ret_number = fallback;
        return CTL_FINE;
    }
    if (parse_int(text, low, high, ret_number) < 0)
        return ctl_complain(CTL_USAGE,
                            "--%s: \"%.40s\" is not a whole number between %lld and %lld", name,
                            text, (long long)low, (long long)high);
    return CTL_FINE;
}
