#include "ctl/orders/order_text.h"
#include "ctl/request.h"

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct request request = {.kind = "cancel", .order_id = args->operands[0]};
    if (!order_text_is_id(args->operands[0]))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", args->operands[0]);
    int exit_code = request_timeout(&command_orders_cancel, args, &request.timeout_ms);
    return exit_code == CTL_FINE ? request_run(ctl, &request) : exit_code;
}

const struct command command_orders_cancel = {
    .words = "orders cancel",
    .operands = "ID",
    .operand_count = 1,
    .summary = "cancels a waiting order",
    .details = "As its buyer could: while it waits, or while its buyer is at the bank (then it is "
               "cancelled at the gateway first, unless the buyer has paid by then). It is refused "
               "while a payment is under way; a confirmed order is refunded instead (orders "
               "refund). The record of commands says who asked for it. Exit code 1: it was "
               "refused, or stays pending.",
    .options = {REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
