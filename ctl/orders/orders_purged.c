#include "ctl/orders/orders_purged.h"

#include <stdio.h>

static const struct pg_statement find = {
    "ctl_order_purged",
    "select checkout.utc_text(ended_at), status, reason, captures from checkout.purged_orders"
    " where order_id = $1::uuid",
    1};

struct purged {
    const struct ctl *ctl;
    const char *id;
    bool quiet;
    bool found;
};

static void print_json(const struct purged *purged, const struct pg_result *result)
{
    (void)printf("{\"order\":{\"order_id\":\"%s\",\"status\":\"%s\",", purged->id,
                 pg_text(result, 0, 1));
    if (!pg_null(result, 0, 2))
        (void)printf("\"reason\":\"%s\",", pg_text(result, 0, 2));
    (void)printf("\"ended_at\":\"%s\",\"captures\":%s,\"purged\":true}}\n", pg_text(result, 0, 0),
                 pg_text(result, 0, 3));
}

static void take(const struct pg_result *result, void *arg)
{
    struct purged *purged = arg;
    purged->found = pg_rows(result) > 0;
    if (!purged->found || purged->quiet)
        return;
    if (purged->ctl->json) {
        print_json(purged, result);
        return;
    }
    (void)printf("Order %s is %s%s%s since %s. It was purged: only its end and the number of its "
                 "captures (%s) are known. The gateway's list has its payment.\n",
                 purged->id, pg_text(result, 0, 1), pg_null(result, 0, 2) ? "" : ": ",
                 pg_text(result, 0, 2), pg_text(result, 0, 0), pg_text(result, 0, 3));
}

static int ask(struct purged *purged, struct ctl *ctl, bool *ret_purged)
{
    const char *const params[] = {purged->id};
    int exit_code = ctl_query(ctl, &find, params, take, purged);
    if (exit_code == CTL_FINE)
        *ret_purged = purged->found;
    return exit_code;
}

int orders_purged_print(struct ctl *ctl, const char *id, bool *ret_purged)
{
    struct purged purged = {.ctl = ctl, .id = id};
    return ask(&purged, ctl, ret_purged);
}

int orders_purged_find(struct ctl *ctl, const char *id, bool *ret_purged)
{
    struct purged purged = {.ctl = ctl, .id = id, .quiet = true};
    return ask(&purged, ctl, ret_purged);
}
