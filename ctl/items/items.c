#include <stdio.h>

#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/table.h"

#define LIMIT_USUAL 100
#define LIMIT_MAX 100000
#define TITLE_SHORT "40" /* characters */
#define TITLE_WHOLE "200"

static const struct pg_statement list_items = {
    "ctl_items_list",
    "select sku, case when char_length(title) > $3::integer then left(title, $3 - 3) || '...'"
    "            else title end, price, currency, stock, held, sold, stock - held - sold, waiting,"
    "       limit_per_user, gate,"
    "       case when exists (select 1 from checkout.items_aside a"
    "                          where a.shard = items.shard and a.sku = items.sku) then 'set aside'"
    "            when paused then 'paused' when opens_at > now() then 'not yet open'"
    "            when closes_at <= now() then 'closed' when stock = sold then 'sold out'"
    "            else 'on sale' end,"
    "       to_char(opens_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "       to_char(closes_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), challenge, shard"
    "  from checkout.items where sku > $1::text order by sku limit $2::bigint",
    3};

static const struct table_column columns[] = {
    {"SKU", "sku", TABLE_TEXT},
    {"TITLE", "title", TABLE_TEXT},
    {"PRICE", "price", TABLE_MONEY},
    {"CUR", "currency", TABLE_TEXT},
    {"STOCK", "stock", TABLE_NUMBER},
    {"HELD", "held", TABLE_NUMBER},
    {"SOLD", "sold", TABLE_NUMBER},
    {"FREE", "free", TABLE_NUMBER},
    {"WAITING", "waiting", TABLE_NUMBER},
    {"LIMIT", "limit_per_user", TABLE_NUMBER},
    {"GATE", "gate", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"OPENS", "opens_at", TABLE_TEXT},
    {"CLOSES", "closes_at", TABLE_TEXT},
    {"CHALLENGE", "challenge", TABLE_TEXT},
    {"SHARD", "shard", TABLE_NUMBER},
};

static int run(struct ctl *ctl, const struct command_args *args)
{
    const char *after = command_option(&command_items_list, args, "after");
    int64_t limit;
    int exit_code =
        command_number(&command_items_list, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    char number[24];
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    const char *const params[] = {after == NULL ? "" : after, number,
                                  ctl->json ? TITLE_WHOLE : TITLE_SHORT};
    struct table *table;
    exit_code = listing_query(ctl, &list_items, params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, limit, "no items", "after", true);
    table_free(table);
    return CTL_FINE;
}

const struct command command_items_list = {
    .words = "items list",
    .operands = "",
    .summary = "shows the items: stock, held, sold, waiting",
    .details = "By SKU. Prices are in whole units of the currency, with --json in the minor "
               "units that items import takes; held units are being paid for now. Long titles "
               "are cut, "
               "but not with --json. STATE \"set aside\": its jobs cannot be decided now, "
               "because something holds its row; orders explain and doctor say more.",
    .options = {{"limit", "N", "at most N items (100)"}, {"after", "SKU", "begin after this one"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
