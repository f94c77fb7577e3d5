#include "ctl/items/item_row.h"

#include <stdio.h>

static const struct pg_statement read_item = {
    "ctl_item_row",
    "select i.price, i.currency, coalesce(checkout.utc_text(i.opens_at), ''),"
    "       coalesce(checkout.utc_text(i.closes_at), ''),"
    "       $2::boolean and (exists (select 1 from checkout.orders o where o.sku = i.sku)"
    "           or exists (select 1 from checkout.purged_items p where p.sku = i.sku))"
    "  from checkout.items i where i.sku = $1::text",
    2};

static void take(const struct pg_result *result, void *arg)
{
    struct item_row *row = arg;
    if (pg_rows(result) == 0)
        return;
    row->found = true;
    (void)snprintf(row->price, sizeof row->price, "%s", pg_text(result, 0, 0));
    (void)snprintf(row->currency, sizeof row->currency, "%s", pg_text(result, 0, 1));
    (void)snprintf(row->opens_at, sizeof row->opens_at, "%s", pg_text(result, 0, 2));
    (void)snprintf(row->closes_at, sizeof row->closes_at, "%s", pg_text(result, 0, 3));
    row->ordered = pg_bool(result, 0, 4);
}

int item_row_read(struct ctl *ctl, const char *sku, bool orders, struct item_row *ret_row)
{
    struct item_row row = {.found = false};
    const char *const params[] = {sku, orders ? "t" : "f"};
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &read_item, params, take, &row);
    if (exit_code == CTL_FINE)
        *ret_row = row;
    return exit_code;
}
