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
#define ASKED_OF_ITEM                                                                              \
    " ($1::text is null or o.user_id = $1) and ($3::text is null or o.status = $3)"                \
    " and ($4::text is null or o.reference = $4)"
#define ASKED ASKED_OF_ITEM " and ($2::text is null or o.sku = $2)"
#define WITHIN(time)                                                                               \
    " and ($5::timestamptz is null or " time " >= $5)"                                             \
    " and ($6::timestamptz is null or " time " < $6)"
/* The order of a row of another table; never planned as a join, which would read all of them. */
#define ORDER_OF(row)                                                                              \
    " cross join lateral (select * from checkout.orders t where t.order_id = " row ".order_id"     \
    " limit 1) o"
#define FIRST " limit $7::bigint"

/* For each place where orders are found how to list and how to count them. */
struct place {
    struct pg_statement list;
    struct pg_statement count;
};

/* clang-format off */
#define PLACE(name, from)                                                                          \
    {{"ctl_list_" name, COLUMNS from, 7},                                                          \
     {"ctl_count_" name,                                                                           \
      "select t.status, count(*) from (select o.status" from ") t group by 1 order by 2 desc, 1",  \
      7}}

/* By the index of the customer, which has hashes (054_seconds.sql), or of the reference. */
#define NAMED                                                                                      \
    " from checkout.orders o"                                                                      \
    " where ($1::text is null or hashtext(o.user_id) = hashtext($1)) and" ASKED                    \
    WITHIN("o.created_at")                                                       \
    " order by o.created_at desc, o.order_id desc" FIRST
/* By an index of seconds (054_seconds.sql), which is walked from the newest. */
#define SECONDS(time)                                                                              \
    " and ($5::timestamptz is null or checkout.second_of(" time ") >= checkout.second_of($5))"     \
    " and ($6::timestamptz is null or checkout.second_of(" time ") <= checkout.second_of($6))"
#define BY_SECOND(time) " order by checkout.second_of(" time ") desc, " time " desc"
#define DECIDED                                                                                    \
    " from checkout.orders o"                                                                      \
    " where" ASKED WITHIN("o.created_at") SECONDS("o.created_at") BY_SECOND("o.created_at")        \
    ", o.order_id desc" FIRST
/* Those of an item: its index has hashes and spans of four seconds (048_orders_of_items.sql). The name
 * is compared in a way of which PostgreSQL expects nothing: taken with the hash it would expect next to
 * no orders, and read all. */
#define SPAN(time) "(extract(epoch from " time " at time zone 'UTC') / 4)::integer"
#define OF_ITEM                                                                                    \
    " from checkout.orders o"                                                                      \
    " where hashtext(o.sku) = hashtext($2) and coalesce(o.sku = $2, false)"                        \
    " and" ASKED_OF_ITEM WITHIN("o.created_at")                                                    \
    " and ($5::timestamptz is null or " SPAN("o.created_at") " >= " SPAN("$5::timestamptz") ")"    \
    " and ($6::timestamptz is null or " SPAN("o.created_at") " <= " SPAN("$6::timestamptz") ")"    \
    " order by " SPAN("o.created_at") " desc, o.created_at desc, o.order_id desc" FIRST
/* All that ended so: by the indexes of ends, since an index of states would make each change of a
 * state dear. */
#define ENDED                                                                                      \
    " from checkout.order_events e" ORDER_OF("e")                                                  \
    " where e.status = $3 and" ASKED WITHIN("e.created_at") SECONDS("e.created_at")                \
    BY_SECOND("e.created_at") FIRST
/* All that are open, and those of an item: by the tables of what is open. */
#define WAITING                                                                                    \
    " from checkout.waitlist w" ORDER_OF("w")                                                      \
    " where" ASKED WITHIN("w.created_at")                                                          \
    " order by w.created_at desc" FIRST
#define WAITING_OF                                                                                 \
    " from checkout.waitlist w" ORDER_OF("w")                                                      \
    " where w.sku = $2 and" ASKED WITHIN("w.created_at")                                           \
    " order by w.ticket desc" FIRST
#define RESERVED                                                                                   \
    " from (select n.order_id, n.created_at"                                                       \
    "         from checkout.service v"                                                             \
    "        cross join generate_series(0, v.shards - 1) s"                                        \
    "        cross join lateral"                                                                   \
    "              (select p.order_id, p.created_at from checkout.payments p"                      \
    "                where p.shard = s and p.state = 'open'" WITHIN("p.created_at")                \
    "                order by p.created_at desc" FIRST ") n"                                       \
    "        order by n.created_at desc" FIRST ") p" ORDER_OF("p")                                 \
    " where" ASKED                                                                                 \
    " order by p.created_at desc"
#define RESERVED_OF                                                                                \
    " from checkout.payments p" ORDER_OF("p")                                                      \
    " where p.shard = (select i.shard from checkout.items i where i.sku = $2)"                     \
    "   and p.state = 'open' and" ASKED WITHIN("p.created_at")                                     \
    " order by p.created_at desc" FIRST
/* clang-format on */

static const struct place named = PLACE("named", NAMED);
static const struct place decided = PLACE("decided", DECIDED);
static const struct place of_item = PLACE("of_item", OF_ITEM);
static const struct place ended = PLACE("ended", ENDED);
static const struct place waiting = PLACE("waiting", WAITING);
static const struct place waiting_of = PLACE("waiting_of", WAITING_OF);
static const struct place reserved = PLACE("reserved", RESERVED);
static const struct place reserved_of = PLACE("reserved_of", RESERVED_OF);

/* What is found by an index is found at once; helpers and compilers only make that slower. Rows
 * come in the order of an index, so that it ends at the limit: a sort or a bitmap would read all.
 */
static const struct pg_statement plainly = {
    "ctl_orders_plainly",
    "select set_config('jit', 'off', false), set_config('max_parallel_workers_per_gather', '0', "
    "false), set_config('enable_sort', 'off', false), set_config('enable_bitmapscan', 'off', "
    "false)",
    0};

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
    {"AMOUNT", "amount", TABLE_MONEY},
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

/* The place that has them without many others. */
static const struct place *place_of(const char *const *params)
{
    enum order_state state = order_state_of(params[STATUS]);
    bool has_item = params[SKU] != NULL;
    if (params[USER] != NULL || params[REFERENCE] != NULL)
        return &named;
    if (state == ORDER_STATE_WAITING)
        return has_item ? &waiting_of : &waiting;
    if (state == ORDER_STATE_RESERVED)
        return has_item ? &reserved_of : &reserved;
    if (has_item)
        return &of_item;
    return params[STATUS] == NULL ? &decided : &ended;
}

static int find(struct ctl *ctl, const struct pg_statement *statement, const char *const *params,
                const struct table_column *of_columns, size_t column_count,
                struct table **ret_table)
{
    int exit_code = ctl_query(ctl, &plainly, NULL, NULL, NULL);
    return exit_code != CTL_FINE
               ? exit_code
               : listing_query(ctl, statement, params, of_columns, column_count, ret_table);
}

static int list(struct ctl *ctl, const char *const *params, int64_t limit)
{
    struct table *table;
    int exit_code = find(ctl, &place_of(params)->list, params, columns, ARRAY_LEN(columns), &table);
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
    int exit_code = find(ctl, &place_of(params)->count, params, count_columns,
                         ARRAY_LEN(count_columns), &table);
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
        "time of decision; with --status alone, the time since when that is its state (with --sku, "
        "too, if it is waiting or reserved). --count counts the newest 10000 of them, by status.",
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
