#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/shop/status.h"
#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/table.h"

#define LIMIT_USUAL 50
#define LIMIT_MAX 100000
#define KNOWN_MAX 256

static const struct pg_statement list_orders = {
    "ctl_orders_list",
    "select order_id, user_id, sku, quantity, status, reason, amount, currency, reference,"
    "       to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    "  from checkout.orders"
    " where ($1::text is null or user_id = $1) and ($2::text is null or sku = $2)"
    "   and ($3::text is null or status = $3)"
    " order by created_at desc, order_id limit $4::bigint",
    4};

static const struct table_column columns[] = {
    {"ORDER", "id", TABLE_TEXT},
    {"USER", "user", TABLE_TEXT},
    {"SKU", "sku", TABLE_TEXT},
    {"QTY", "quantity", TABLE_NUMBER},
    {"STATUS", "status", TABLE_TEXT},
    {"REASON", "reason", TABLE_TEXT},
    {"AMOUNT", "amount", TABLE_NUMBER},
    {"CUR", "currency", TABLE_TEXT},
    {"REFERENCE", "reference", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TEXT},
    {"UPDATED", "updated_at", TABLE_TEXT},
};

static int check_status(const char *status)
{
    struct buf known;
    enum order_state state = order_state_of(status);
    if (status == NULL || state > ORDER_STATE_QUEUED)
        return CTL_FINE;
    buf_init(&known, KNOWN_MAX);
    for (state = ORDER_STATE_WAITING; state < ORDER_STATE_COUNT; state++)
        (void)buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", order_state_word(state));
    int exit_code =
        ctl_complain(CTL_USAGE, "--status: \"%.40s\" is none of %s", status, buf_text(&known));
    buf_free(&known);
    return exit_code;
}

static int query(struct ctl *ctl, const char *const *params, int64_t limit)
{
    struct table *table;
    int exit_code = listing_query(ctl, &list_orders, params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, limit, "no orders", "limit", false);
    table_free(table);
    return CTL_FINE;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    char number[24];
    int64_t limit;
    const char *const params[] = {command_option(&command_orders_list, args, "user"),
                                  command_option(&command_orders_list, args, "sku"),
                                  command_option(&command_orders_list, args, "status"), number};
    int exit_code = check_status(params[2]);
    if (exit_code == CTL_FINE)
        exit_code =
            command_number(&command_orders_list, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    return query(ctl, params, limit);
}

const struct command command_orders_list = {
    .words = "orders list",
    .operands = "",
    .summary = "shows orders, newest first",
    .details =
        "Orders that a consumer has decided; an order that is still queued is not among them.",
    .options = {{"user", "U", "only this user's"},
                {"sku", "S", "only of this item"},
                {"status", "X", "only waiting, reserved, confirmed, rejected, ..."},
                {"limit", "N", "at most N orders (50)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
