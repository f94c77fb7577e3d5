#include "ctl/request.h"

#define SHARD_MAX 1023

static int run(struct ctl *ctl, const struct command *command, const struct command_args *args)
{
    struct request request = {.kind = command->words, .sku = args->operands[0]};
    bool whole_shard = command_option(command, args, "shard") != NULL;
    if (whole_shard == (request.sku != NULL))
        return ctl_complain(CTL_USAGE, "%s needs either a SKU or --shard N", command->words);
    int exit_code = command_number(command, args, "shard", 0, 0, SHARD_MAX, &request.shard);
    if (exit_code == CTL_FINE)
        exit_code = request_timeout(command, args, &request.timeout_ms);
    return exit_code == CTL_FINE ? request_run(ctl, &request) : exit_code;
}

static int run_pause(struct ctl *ctl, const struct command_args *args)
{
    return run(ctl, &command_pause, args);
}

static int run_resume(struct ctl *ctl, const struct command_args *args)
{
    return run(ctl, &command_resume, args);
}

const struct command command_pause = {
    .words = "pause",
    .operands = "[SKU]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "makes the orders of an item, or of a shard, wait",
    .details = "Orders are accepted and wait; payments under way end. Waiting times do not pass "
               "meanwhile.",
    .options = {{"shard", "N", "all items of this shard, instead of one"}, REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_pause,
};

const struct command command_resume = {
    .words = "resume",
    .operands = "[SKU]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "lets a paused item, or shard, go on",
    .details =
        "The waitlist moves from its head. Each pause ends by its own resume: an item that was "
        "paused by itself stays paused when its shard is resumed, and the other way round.",
    .options = {{"shard", "N", "all items of this shard, instead of one"}, REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_resume,
};
