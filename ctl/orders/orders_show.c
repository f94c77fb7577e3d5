#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/orders/orders_purged.h"
#include "ctl/table.h"

#define DOCUMENT_MAX ((size_t)1024 * 1024)

/* Leaves out the payment method and the buyer's address. */
static const struct pg_statement show_order = {
    "ctl_order",
    "select order_id, user_id, sku, quantity, status, reason, amount, currency,"
    "       checkout.place_in_line(order_id), reference, shard,"
    "       to_char(accepted_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), traceparent"
    "  from checkout.orders where order_id = $1::uuid",
    1};

static const struct table_column order_columns[] = {
    {"order", "id", TABLE_TEXT},
    {"user", "user", TABLE_TEXT},
    {"sku", "sku", TABLE_TEXT},
    {"quantity", "quantity", TABLE_NUMBER},
    {"status", "status", TABLE_TEXT},
    {"reason", "reason", TABLE_TEXT},
    {"amount", "amount", TABLE_MONEY},
    {"currency", "currency", TABLE_TEXT},
    {"place in line", "place_in_line", TABLE_NUMBER},
    {"reference", "reference", TABLE_TEXT},
    {"shard", "shard", TABLE_NUMBER},
    {"accepted", "accepted_at", TABLE_TEXT},
    {"created", "created_at", TABLE_TEXT},
    {"updated", "updated_at", TABLE_TEXT},
    {"traceparent", "traceparent", TABLE_TEXT},
};

static const struct pg_statement show_history = {
    "ctl_order_history",
    "select sequence, status, reason, place_in_line, event_id,"
    "       to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    "  from checkout.order_events"
    " where uuid_hash(order_id) = uuid_hash($1::uuid) and order_id = $1::uuid order by sequence",
    1};

static const struct table_column history_columns[] = {
    {"SEQUENCE", "sequence", TABLE_NUMBER}, {"STATUS", "status", TABLE_TEXT},
    {"REASON", "reason", TABLE_TEXT},       {"PLACE", "place_in_line", TABLE_NUMBER},
    {"EVENT", "event_id", TABLE_NUMBER},    {"TIME", "time", TABLE_TEXT},
};

static const struct pg_statement show_payments = {
    "ctl_order_payments",
    "select attempt, state, amount, currency, intent_id, code, idempotency_key,"
    "       to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    "  from checkout.payments where order_id = $1::uuid order by attempt",
    1};

static const struct table_column payment_columns[] = {
    {"ATTEMPT", "attempt", TABLE_NUMBER},
    {"STATE", "state", TABLE_TEXT},
    {"AMOUNT", "amount", TABLE_MONEY},
    {"CUR", "currency", TABLE_TEXT},
    {"INTENT", "intent_id", TABLE_TEXT},
    {"CODE", "code", TABLE_TEXT},
    {"IDEMPOTENCY KEY", "idempotency_key", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TEXT},
    {"UPDATED", "updated_at", TABLE_TEXT},
};

static const struct pg_statement show_refunds = {
    "ctl_order_refunds",
    "select attempt, state, amount, currency, reason, restock, refund_id, code, idempotency_key,"
    "       note, to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    "  from checkout.refunds where order_id = $1::uuid order by attempt",
    1};

static const struct table_column refund_columns[] = {
    {"ATTEMPT", "attempt", TABLE_NUMBER},
    {"STATE", "state", TABLE_TEXT},
    {"AMOUNT", "amount", TABLE_MONEY},
    {"CUR", "currency", TABLE_TEXT},
    {"WHY", "reason", TABLE_TEXT},
    {"RESTOCK", "restock", TABLE_BOOL},
    {"REFUND", "refund_id", TABLE_TEXT},
    {"CODE", "code", TABLE_TEXT},
    {"IDEMPOTENCY KEY", "idempotency_key", TABLE_TEXT},
    {"NOTE", "note", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TEXT},
    {"UPDATED", "updated_at", TABLE_TEXT},
};

static const struct pg_statement show_returns = {
    "ctl_order_returns",
    "select kind, id, amount, currency, status, reason, attempt,"
    "       to_char(since, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       to_char(seen_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    "  from checkout.show_returns($1::uuid) where not ours order by since, id",
    1};

static const struct table_column return_columns[] = {
    {"WHAT", "kind", TABLE_TEXT},          {"ID", "id", TABLE_TEXT},
    {"AMOUNT", "amount", TABLE_MONEY},     {"CUR", "currency", TABLE_TEXT},
    {"STATUS", "status", TABLE_TEXT},      {"REASON", "reason", TABLE_TEXT},
    {"ATTEMPT", "attempt", TABLE_NUMBER},  {"FIRST SEEN", "first_seen_at", TABLE_TEXT},
    {"CHANGED", "changed_at", TABLE_TEXT},
};

enum { PART_ORDER, PART_HISTORY, PART_PAYMENTS, PART_REFUNDS, PART_RETURNS, PARTS };

static const struct {
    const struct pg_statement *statement;
    const struct table_column *columns;
    size_t count;
} parts[PARTS] = {
    {&show_order, order_columns, ARRAY_LEN(order_columns)},
    {&show_history, history_columns, ARRAY_LEN(history_columns)},
    {&show_payments, payment_columns, ARRAY_LEN(payment_columns)},
    {&show_refunds, refund_columns, ARRAY_LEN(refund_columns)},
    {&show_returns, return_columns, ARRAY_LEN(return_columns)},
};

static void print_json(struct table *const *tables)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    table_json_open_row(tables[PART_ORDER], 0, &out);
    (void)buf_str(&out, ",\"history\":");
    table_json(tables[PART_HISTORY], &out);
    (void)buf_str(&out, ",\"payments\":");
    table_json(tables[PART_PAYMENTS], &out);
    (void)buf_str(&out, ",\"refunds\":");
    table_json(tables[PART_REFUNDS], &out);
    (void)buf_str(&out, ",\"elsewhere\":");
    table_json(tables[PART_RETURNS], &out);
    (void)printf("%s}\n", buf_text(&out));
    buf_free(&out);
}

static void print(struct table *const *tables)
{
    table_print_record(tables[PART_ORDER], 0);
    (void)puts("\nhistory");
    table_print(tables[PART_HISTORY]);
    if (table_rows(tables[PART_PAYMENTS]) > 0) {
        (void)puts("\npayments");
        table_print(tables[PART_PAYMENTS]);
    }
    if (table_rows(tables[PART_REFUNDS]) > 0) {
        (void)puts("\nrefunds");
        table_print(tables[PART_REFUNDS]);
    }
    if (table_rows(tables[PART_RETURNS]) > 0) {
        (void)puts("\nrefunds and disputes at the gateway, not by us");
        table_print(tables[PART_RETURNS]);
    }
}

static int show(struct ctl *ctl, const char *id)
{
    struct table *tables[PARTS] = {NULL};
    const char *const params[] = {id};
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < PARTS && exit_code == CTL_FINE; i++)
        exit_code = listing_query(ctl, parts[i].statement, params, parts[i].columns, parts[i].count,
                                  &tables[i]);
    bool purged = false;
    bool there = exit_code == CTL_FINE && table_rows(tables[PART_ORDER]) > 0;
    if (exit_code == CTL_FINE && !there)
        exit_code = orders_purged_print(ctl, id, &purged);
    if (exit_code == CTL_FINE && !there && !purged)
        exit_code = ctl_complain(CTL_FAILED,
                                 "no consumer has decided order %s (it may still be queued)", id);
    else if (there && ctl->json)
        print_json(tables);
    else if (there)
        print(tables);
    for (size_t i = 0; i < PARTS; i++)
        table_free(tables[i]);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    if (!order_text_is_id(args->operands[0]))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", args->operands[0]);
    int exit_code = ctl_need(ctl, &contact_pg);
    return exit_code == CTL_FINE ? show(ctl, args->operands[0]) : exit_code;
}

const struct command command_orders_show = {
    .words = "orders show",
    .operands = "ID",
    .operand_count = 1,
    .summary = "shows one order: history, payments, refunds, disputes",
    .details = "The payment method is never shown.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
