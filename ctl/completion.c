#include <stdio.h>

#include "ctl/command.h"

/* Bash gets the table of commands as text, and reads it: a command's words, and its options. */
static const char *const head =
    "# bash completion for checkoutctl; printed by `checkoutctl completion`\n"
    "_checkoutctl()\n"
    "{\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} typed='' found='' word words options rest\n"
    "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
    "        [[ $word == -* ]] || typed+=\"$word \"\n"
    "    done\n"
    "    while IFS='|' read -r words options; do\n"
    "        if [[ $typed == \"$words \"* ]]; then\n"
    "            [[ $current != -* ]] || found+=\" $options\"\n"
    "        elif [[ \"$words \" == \"$typed\"* ]]; then\n"
    "            rest=${words:${#typed}}\n"
    "            found+=\" ${rest%% *}\"\n"
    "        fi\n"
    "    done <<'COMMANDS'\n";
static const char *const tail =
    "COMMANDS\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$found\" -- \"$current\" | sort -u)\n"
    "}\n"
    "complete -o default -F _checkoutctl checkoutctl\n";

static int run(struct ctl *ctl, const struct command_args *args)
{
    (void)ctl;
    (void)args;
    (void)fputs(head, stdout); /* main() sees whether it was written */
    for (const struct command *const *c = commands; *c != NULL; c++) {
        (void)printf("%s|--help --json", (*c)->words);
        for (const struct command_option *option = (*c)->options; option->name != NULL; option++)
            (void)printf(" --%s", option->name);
        (void)putchar('\n');
    }
    (void)fputs(tail, stdout);
    return CTL_FINE;
}

const struct command command_completion = {
    .words = "completion",
    .operands = "",
    .summary = "prints bash's completion of checkoutctl",
    .details = "For a shell of your own: source <(checkoutctl completion). An installation has it "
               "already, where bash looks.",
    .run = run,
};
