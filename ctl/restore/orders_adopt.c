/* Orders that were paid and that the database does not know, in a shop that serves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"
#include "ctl/command.h"
#include "ctl/gateway.h"
#include "ctl/restore/adopt.h"

#define DAYS_USUAL 7
#define DAYS_MAX 36500
#define WHY_SIZE 512
#define NUMBER_SIZE 24

static const struct pg_statement look = {
    "ctl_adopt_look",
    "select (select d.problem from checkout.database_problem(false) d"
    "         where d.sqlstate_ = 'CK009'),"
    "       (extract(epoch from now()) - $1::bigint * 86400)::bigint",
    1};

struct found {
    char why[WHY_SIZE]; /* "": the database is not behind */
    int64_t since_s;
};

static void take_look(const struct pg_result *result, void *arg)
{
    struct found *found = arg;
    (void)snprintf(found->why, sizeof found->why, "%s", pg_text(result, 0, 0));
    found->since_s = pg_int(result, 0, 1);
}

static int read_days(const struct command_args *args, int64_t *ret_days)
{
    const char *text = command_option(&command_orders_adopt, args, "since");
    *ret_days = DAYS_USUAL;
    if (text == NULL)
        return CTL_FINE;
    size_t len = strlen(text);
    if (len < 2 || text[len - 1] != 'd' || parse_intn(text, len - 1, 1, DAYS_MAX, ret_days) < 0)
        return ctl_complain(CTL_USAGE, "--since: \"%.40s\" is no number of days, like 7d", text);
    return CTL_FINE;
}

static int adopt(struct ctl *ctl, int64_t days, const char *feed, bool dry)
{
    struct found found = {.why = ""};
    struct adoption adoption;
    char number[NUMBER_SIZE];
    const char *const params[] = {number};
    (void)snprintf(number, sizeof number, "%" PRId64, days);
    int exit_code = ctl_query(ctl, &look, params, take_look, &found);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (found.why[0] != '\0')
        return ctl_complain(CTL_FAILED, "%s; `checkoutctl restore finish` adopts what was paid",
                            found.why);
    exit_code = adopt_orders(ctl, found.since_s, dry, &adoption);
    if (exit_code == CTL_FINE && feed != NULL)
        exit_code = adopt_feed(ctl, feed, dry, &adoption);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (ctl->json) {
        (void)printf("{\"dry_run\":%s,", dry ? "true" : "false");
        adoption_print_json(&adoption);
        (void)puts("}");
    } else {
        adoption_print(&adoption, dry, feed != NULL);
    }
    return adoption.left > 0 ? CTL_FAILED : CTL_FINE;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_orders_adopt;
    int64_t days;
    int exit_code = read_days(args, &days);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = adopt(ctl, days, command_option(command, args, "feed"),
                          command_switch(command, args, "dry-run"));
    return exit_code;
}

const struct command command_orders_adopt = {
    .words = "orders adopt",
    .operands = "",
    .summary = "makes orders of payments that the database lacks",
    .details =
        "For what `audit` calls charged-for-nothing: the gateway took money, and there is no such "
        "order, since the newest moments of a database were lost, or `restore finish --leave-rest` "
        "left it. Each such payment whose charge says what was ordered becomes a confirmed order, "
        "if a unit is free; so does an order that waits although it was paid. Works beside a sale: "
        "the owner of the shard waits meanwhile. A payment that cannot be adopted is named; exit "
        "code 1. Look with --dry-run first if another shop uses the same account of the gateway.",
    .options = {{"since", "DAYS", "how old payments may be, like 30d (7d)"},
                {"feed", "FILE", "of `events follow --json`: names, and other ends"},
                {"dry-run", NULL, "only says what would be adopted"}},
    .settings = CFG_BIT(DATABASE_URL) | GATEWAY_SETTINGS,
    .run = run,
};
