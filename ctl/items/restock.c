#include <inttypes.h>
#include <stdio.h>

#include "common/base/parse.h"
#include "common/pay/items_field.h"
#include "ctl/items/item_row.h"
#include "ctl/request.h"

#define UNITS_MAX INT32_MAX

/* More units of what every charge is refused for cannot be meant. */
static int check_price(struct ctl *ctl, const char *sku)
{
    struct item_row row;
    char rule[CURRENCY_RULE_SIZE];
    int exit_code = item_row_read(ctl, sku, false, &row);
    if (exit_code == CTL_FINE && row.found && items_field_price(row.price, row.currency, rule) < 0)
        return ctl_complain(CTL_FAILED, "refused: price %s %s; change it first with items set",
                            row.price, rule);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct request request = {.kind = "restock", .sku = args->operands[0]};
    char argument[48];
    int64_t units;
    if (parse_int(args->operands[1], -UNITS_MAX, UNITS_MAX, &units) < 0 || units == 0)
        return ctl_complain(CTL_USAGE,
                            "items restock: \"%.40s\" is not a number of units to add (or, with a "
                            "minus, to remove)",
                            args->operands[1]);
    int exit_code = request_timeout(&command_items_restock, args, &request.timeout_ms);
    if (exit_code == CTL_FINE && units > 0)
        exit_code = check_price(ctl, request.sku);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(argument, sizeof argument, "{\"units\":%" PRId64 "}", units);
    request.argument = argument;
    return request_run(ctl, &request);
}

const struct command command_items_restock = {
    .words = "items restock",
    .operands = "SKU N",
    .operand_count = 2,
    .summary = "adds N units to an item, or removes some",
    .details =
        "A negative N removes units, down to those that are held or sold. The consumer that "
        "serves the item executes it; a waitlist moves at once, and an item that was sold "
        "out takes orders again. Units are not added at a price that the gateway would refuse.",
    .options = {REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
