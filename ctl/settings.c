#include <stdio.h>

#include "ctl/command.h"

#define TEXT_MAX ((size_t)64 * 1024)

static int run(struct ctl *ctl, const struct command_args *args)
{
    (void)ctl;
    (void)args;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int exit_code = cfg_example(&text) < 0 ? ctl_complain(CTL_FAILED, "out of memory") : CTL_FINE;
    if (exit_code == CTL_FINE)
        (void)fputs(buf_text(&text), stdout); /* main() sees whether it was written */
    buf_free(&text);
    return exit_code;
}

const struct command command_settings = {
    .words = "settings",
    .operands = "",
    .summary = "prints every setting, as a file to begin with",
    .details = "The file is for a shell and for EnvironmentFile= of systemd: each setting has its "
               "explanation, its limits and the programs that read it; defaults are comments; "
               "what must be set is empty, but for the usual paths of secrets.",
    .run = run,
};
