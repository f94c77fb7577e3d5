#include <stdio.h>

#include "common/base/log.h"
#include "common/base/version.h"
#include "common/service/process.h"
#include "ctl/cli.h"
#include "ctl/ctl.h"

#define TEXT_MAX ((size_t)64 * 1024)

static int print_help(const struct cli *cli)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int exit_code = cli_help(cli, &text);
    if (fputs(buf_text(&text), stdout) < 0)
        exit_code = CTL_FAILED;
    buf_free(&text);
    return exit_code;
}

static int run(const struct cli *cli)
{
    struct ctl ctl = {.json = cli->json, .patient = cli->command->patient};
    int exit_code = ctl_load(&ctl, cli->command->settings);
    if (exit_code != CTL_FINE)
        return exit_code;
    ctl.loop = loop_new();
    if (ctl.loop == NULL)
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    else
        exit_code = cli->command->run(&ctl, &cli->args);
    ctl_close(&ctl);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct cli cli;
    struct buf problem;
    process_begin();
    log_open("checkoutctl", LOG_LEVEL_ERROR);
    buf_init(&problem, CTL_PROBLEM_SIZE);
    int exit_code = cli_parse(argc, argv, &cli, &problem);
    if (exit_code != CTL_FINE)
        (void)ctl_complain(exit_code, "%s", buf_text(&problem));
    else if (cli.help)
        exit_code = print_help(&cli);
    else if (cli.version || cli.command == NULL)
        (void)printf("checkoutctl %s\n", CHECKOUT_VERSION);
    else
        exit_code = run(&cli);
    buf_free(&problem);
    if (fflush(stdout) != 0 && exit_code == CTL_FINE)
        exit_code = CTL_FAILED;
    return process_end(exit_code);
}
