#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/shop/status.h"
#include "ctl/human.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/request.h"
#include "ctl/table.h"

#define ARGUMENT_MAX ((size_t)8 * 1024)
#define NOTE_MAX 500
#define LOOK_MS 100

static const struct pg_statement select_refund = {
    "ctl_orders_refund",
    "select r.order_id, o.status, r.state, r.amount, r.currency, r.refund_id, r.code, r.restock,"
    "       r.attempt, r.try_at is not null"
    "  from (select argument ->> 'attempt' as attempt from checkout.commands"
    "         where order_id = $1::uuid and kind = 'refund' and state = 'done'"
    "         order by command_id desc limit 1) c" /* of the command that was executed just now */
    "  join checkout.refunds r on r.order_id = $1::uuid and r.attempt = c.attempt::integer"
    "  join checkout.orders o on o.order_id = r.order_id",
    1};
enum {
    COLUMN_ORDER,
    COLUMN_STATUS,
    COLUMN_STATE,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_REFUND,
    COLUMN_CODE,
    COLUMN_RESTOCK,
    COLUMN_ATTEMPT,
    COLUMN_LATER
};
static const struct table_column columns[] = {
    {"", "order_id", TABLE_TEXT}, {"", "status", TABLE_TEXT},   {"", "refund", TABLE_TEXT},
    {"", "amount", TABLE_NUMBER}, {"", "currency", TABLE_TEXT}, {"", "refund_id", TABLE_TEXT},
    {"", "code", TABLE_TEXT},     {"", "restock", TABLE_BOOL},  {"", "attempt", TABLE_NUMBER},
    {"", "later", TABLE_BOOL},
};

struct watch {
    struct ctl *ctl;
    const char *order_id;
    struct table *newest;
};

/* Polls until the refund has ended or the time is up. */
static int watch_refund(struct watch *watch, int64_t timeout_ms)
{
    struct ctl *ctl = watch->ctl;
    const char *const params[] = {watch->order_id};
    uint64_t until_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    int exit_code = CTL_FINE;
    while (exit_code == CTL_FINE) {
        table_free(watch->newest);
        watch->newest = NULL;
        exit_code =
            listing_query(ctl, &select_refund, params, columns, ARRAY_LEN(columns), &watch->newest);
        if (exit_code != CTL_FINE || table_rows(watch->newest) == 0 ||
            strcmp(table_value(watch->newest, 0, COLUMN_STATE), "open") != 0 ||
            strcmp(table_value(watch->newest, 0, COLUMN_LATER), "t") == 0 ||
            clock_mono_ms() >= until_ms)
            break;
        exit_code = ctl_rest(ctl, LOOK_MS);
    }
    return exit_code;
}

static int report(const struct watch *watch)
{
    const struct table *row = watch->newest;
    if (table_rows(row) == 0)
        return CTL_FINE; /* refunded before there was a record: already reported */
    const char *state = table_value(row, 0, COLUMN_STATE);
    const char *code = table_value(row, 0, COLUMN_CODE);
    char money[HUMAN_MONEY_SIZE];
    human_money(table_value(row, 0, COLUMN_AMOUNT), table_value(row, 0, COLUMN_CURRENCY), money);
    if (watch->ctl->json)
        table_print_json_lines(row);
    if (refund_state_of(state) == REFUND_STATE_SUCCEEDED) {
        if (!watch->ctl->json)
            (void)printf("refunded: %s, the gateway's id is %s\n", money,
                         table_value(row, 0, COLUMN_REFUND) == NULL
                             ? "not known"
                             : table_value(row, 0, COLUMN_REFUND));
        return CTL_FINE;
    }
    if (refund_state_of(state) == REFUND_STATE_FAILED)
        return ctl_complain(CTL_FAILED, "the gateway refused the refund (%s); the order stays %s",
                            code == NULL ? "no code" : code, table_value(row, 0, COLUMN_STATUS));
    if (strcmp(table_value(row, 0, COLUMN_LATER), "t") == 0)
        return ctl_complain(CTL_FAILED,
                            "the gateway does not make the refund now (%s); it is retried each "
                            "day, and when you ask again",
                            code == NULL ? "no code" : code);
    return ctl_complain(
        CTL_FAILED,
        "no final answer of the gateway yet%s%s%s; the refund is recorded and goes on by itself",
        code == NULL ? "" : " (", code == NULL ? "" : code, code == NULL ? "" : ")");
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_orders_refund;
    const char *note = command_option(command, args, "note");
    struct request request = {.kind = "refund", .order_id = args->operands[0]};
    struct watch watch = {.ctl = ctl, .order_id = args->operands[0]};
    struct buf argument;
    if (!order_text_is_id(args->operands[0]))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", args->operands[0]);
    if (note != NULL && strlen(note) > NOTE_MAX)
        return ctl_complain(CTL_USAGE, "--note is longer than %d bytes", NOTE_MAX);
    int64_t payment;
    int exit_code = request_timeout(command, args, &request.timeout_ms);
    if (exit_code == CTL_FINE)
        exit_code = command_number(command, args, "payment", 0, 1, INT32_MAX, &payment);
    if (exit_code != CTL_FINE)
        return exit_code;
    buf_init(&argument, ARGUMENT_MAX);
    (void)buf_printf(&argument, "{\"restock\":%s,\"own\":%s,\"payment\":",
                     command_switch(command, args, "restock") ? "true" : "false",
                     command_switch(command, args, "own") ? "true" : "false");
    if (payment > 0)
        (void)buf_int(&argument, payment);
    else
        (void)buf_str(&argument, "null");
    (void)buf_str(&argument, ",\"note\":");
    if (note == NULL)
        (void)buf_str(&argument, "null");
    else
        (void)buf_json_str(&argument, note);
    (void)buf_char(&argument, '}');
    request.argument = buf_text(&argument);
    exit_code =
        argument.failed ? ctl_complain(CTL_FAILED, "out of memory") : request_run(ctl, &request);
    buf_free(&argument);
    if (exit_code == CTL_FINE)
        exit_code = watch_refund(&watch, request.timeout_ms);
    if (exit_code == CTL_FINE)
        exit_code = report(&watch);
    table_free(watch.newest);
    return exit_code;
}

const struct command command_orders_refund = {
    .words = "orders refund",
    .operands = "ID",
    .operand_count = 1,
    .summary = "refunds a confirmed order",
    .details =
        "Refunds the whole amount. The consumer that serves the order executes it; once recorded, "
        "the refund goes on by itself until the gateway's final answer, and then the order is "
        "refunded. Its units stay sold (they have been shipped, or will not be sold again) unless "
        "--restock puts them back on sale, first to the next waiting order. --restock also works "
        "afterwards, for an order that was refunded without it. If money was taken for nothing and "
        "its refund failed, or waits, this refunds that payment, whatever the order's state; the "
        "order's own payment beside it needs --own. It is safe to ask again. Exit code 1: it was "
        "refused, or has not ended within --timeout.",
    .options = {{"restock", NULL, "its units go back on sale"},
                {"own", NULL, "the order's own payment, though a late one waits"},
                {"payment", "ATTEMPT", "this payment of several (orders show lists them)"},
                {"note", "TEXT", "why, for the record"},
                REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
