#include <stdbool.h>
#include <stdint.h>
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
#define COUNT_MAX "10000"

/* An order as a row. */
#define COLUMNS                                                                                    \
    "select o.order_id, o.user_id, o.sku, o.quantity, o.status, o.reason, o.amount, o.currency,"   \
    "       o.reference, to_char(o.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"              \
    "       to_char(o.updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
/* What is asked for; a condition that is null falls away, as each is planned with its values. */
#define ASKED                                                                                      \
    " ($1::text is null or o.user_id = $1) and ($2::text is null or o.sku = $2)"                   \
    " and ($3::text is null or o.status = $3) and ($4::text is null or o.reference = $4)"
#define WITHIN(time)                                                                               \
    " and ($5::timestamptz is null or " time " >= $5)"                                             \
    " and ($6::timestamptz is null or " time " < $6)"
#define NEWEST(time) " order by " time " desc, o.order_id desc limit $7::bigint"

/* By the index of the customer, the item, the reference or the time. */
static const struct pg_statement list_orders = {
    "ctl_orders_list",
    COLUMNS " from checkout.orders o where" ASKED WITHIN("o.created_at") NEWEST("o.created_at"), 7};
/* All that ended so: by the index of ends, since an index of states would make each change of a
 * state dear. */
static const struct pg_statement list_ended = {
    "ctl_orders_ended",
    COLUMNS " from checkout.order_events e join checkout.orders o"
            "   on o.order_id = e.order_id and o.status = e.status"
            " where e.status = $3 and" ASKED WITHIN("e.created_at") NEWEST("e.created_at"),
    7};
/* All that are open: by the tables of what is open. */
static const struct pg_statement list_waiting = {
    "ctl_orders_waiting",
    COLUMNS " from checkout.waitlist w join checkout.orders o on o.order_id = w.order_id"
            " where" ASKED WITHIN("o.created_at") NEWEST("o.created_at"),
    7};
static const struct pg_statement list_reserved = {
    "ctl_orders_reserved",
    COLUMNS " from checkout.payments p join checkout.orders o on o.order_id = p.order_id"
            " where p.state = 'open' and" ASKED WITHIN("o.created_at") NEWEST("o.created_at"),
    7};
static const struct pg_statement count_orders = {
    "ctl_orders_count",
    "select t.status, count(*) from"
    " (select o.status from checkout.orders o where" ASKED WITHIN(
        "o.created_at") "   order by o.created_at desc limit $7::bigint) t group by t.status order "
                        "by 2 desc, 1",
    7};

static const struct table_column count_columns[] = {
    {"STATUS", "status", TABLE_TEXT},
    {"ORDERS", "orders", TABLE_NUMBER},
};

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

enum param { USER, SKU, STATUS, REFERENCE, SINCE, UNTIL, LIMIT, PARAMS };

/* The statement that finds them without walking over others. */
static const struct pg_statement *finds(const char *const *params)
{
    enum order_state state = order_state_of(params[STATUS]);
    if (params[STATUS] == NULL || params[USER] != NULL || params[SKU] != NULL ||
        params[REFERENCE] != NULL)
        return &list_orders;
    if (state == ORDER_STATE_WAITING)
        return &list_waiting;
    return state == ORDER_STATE_RESERVED ? &list_reserved : &list_ended;
}

static int list(struct ctl *ctl, const char *const *params, int64_t limit)
{
    struct table *table;
    int exit_code = listing_query(ctl, finds(params), params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, limit, "no orders", "limit", false);
    table_free(table);
    return CTL_FINE;
}

static int count(struct ctl *ctl, const char **params)
{
    struct table *table;
    params[LIMIT] = COUNT_MAX;
    int exit_code =
        listing_query(ctl, &count_orders, params, count_columns, ARRAY_LEN(count_columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, INT64_MAX, "no orders", "limit", false);
    table_free(table);
    return CTL_FINE;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    static const char *const names[] = {
        [USER] = "user",           [SKU] = "sku",     [STATUS] = "status",
        [REFERENCE] = "reference", [SINCE] = "since", [UNTIL] = "until"};
    char number[24];
    int64_t limit;
    const char *params[PARAMS] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        params[i] = command_option(&command_orders_list, args, names[i]);
    params[LIMIT] = number;
    bool counts = command_option(&command_orders_list, args, "count") != NULL;
    int exit_code = check_status(params[STATUS]);
    if (exit_code == CTL_FINE && counts && params[SINCE] == NULL)
        exit_code = ctl_complain(CTL_USAGE, "--count needs --since");
    if (exit_code == CTL_FINE)
        exit_code =
            command_number(&command_orders_list, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    return counts ? count(ctl, params) : list(ctl, params, limit);
}

const struct command command_orders_list = {
    .words = "orders list",
    .operands = "",
    .summary = "shows orders, newest first",
    .details =
        "Orders that a consumer has decided; an order that is still queued is not among them. A "
        "time is one that PostgreSQL reads: 2026-11-26T15:00Z, or yesterday. It is the order's "
        "time of decision; with --status of an end alone, the time of that end. --count counts the "
        "newest 10000 of them, by status.",
    .options = {{"user", "U", "only this user's"},
                {"sku", "S", "only of this item"},
                {"status", "X", "only waiting, reserved, confirmed, rejected, ..."},
                {"reference", "R", "only with this reference of the shop"},
                {"since", "TIME", "only from this time on"},
                {"until", "TIME", "only before this time"},
                {"count", NULL, "counts them; needs --since"},
                {"limit", "N", "at most N orders (50)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
