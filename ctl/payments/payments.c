/* Payments whose end only a person can find out. */
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/request.h"
#include "ctl/table.h"

#define LIMIT_USUAL 50
#define LIMIT_MAX 100000
#define ARGUMENT_MAX ((size_t)8 * 1024)
#define NOTE_MAX 500

static const struct pg_statement list_unclear = {
    "ctl_payments_unknown",
    "select order_id, what, amount, currency, code, unclear_s, sku, attempt, resolution, key_age_s"
    "  from checkout.unclear_payments($1::integer)",
    1};

static const struct table_column columns[] = {
    {"ORDER", "order_id", TABLE_TEXT},
    {"WHAT", "what", TABLE_TEXT},
    {"AMOUNT", "amount", TABLE_MONEY},
    {"CUR", "currency", TABLE_TEXT},
    {"ANSWER", "code", TABLE_TEXT},
    {"UNCLEAR", "unclear_seconds", TABLE_AGE},
    {"SKU", "sku", TABLE_TEXT},
    {"ATTEMPT", "attempt", TABLE_NUMBER},
    {"RESOLVED", "resolution", TABLE_TEXT},
    {"KEY AGE", "key_age_seconds", TABLE_AGE},
};

static void print(const struct ctl *ctl, const struct table *table)
{
    if (ctl->json)
        table_print_json_lines(table);
    else if (table_rows(table) == 0)
        (void)puts("none is unclear, no refund has failed");
    else
        table_print(table);
}

static int run_unknown(struct ctl *ctl, const struct command_args *args)
{
    char number[24];
    int64_t limit;
    const char *const params[] = {number};
    int exit_code =
        command_number(&command_payments_unknown, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    struct table *table;
    exit_code = listing_query(ctl, &list_unclear, params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    print(ctl, table);
    table_free(table);
    return CTL_FINE;
}

const struct command command_payments_unknown = {
    .words = "payments unknown",
    .operands = "",
    .summary = "shows unclear charges and refunds, and failed refunds",
    .details =
        "A charge's units stay held. Most clear up by themselves: the consumer asks again, or "
        "looks them up in the gateway's list. ANSWER is the gateway's newest. For a charge that "
        "does not clear up, search the gateway for the order's id, and run payments resolve; a "
        "refund goes on until the gateway's final answer. \"refund later\": the gateway does not "
        "make it now (no balance); it is tried again each day, and at once by orders refund. A "
        "refund that failed, at once or days later, ours or one made at the gateway, is listed "
        "until the money is back: orders refund tries again, and payments resolve ORDER refunded "
        "says that it went back outside of the gateway.",
    .options = {{"limit", "N", "at most N payments (50)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_unknown,
};

static int check(const struct command_args *args, const char *note)
{
    static const char *const outcomes[] = {"captured", "not-captured", "release", "refunded"};
    const char *outcome = args->operands[1];
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        known = known || strcmp(outcome, outcomes[i]) == 0;
    if (!order_text_is_id(args->operands[0]))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", args->operands[0]);
    if (!known)
        return ctl_complain(
            CTL_USAGE, "\"%.40s\" is not captured, not-captured, release or refunded", outcome);
    if (command_option(&command_payments_resolve, args, "payment") != NULL &&
        strcmp(outcome, "refunded") != 0)
        return ctl_complain(CTL_USAGE, "--payment goes with refunded alone");
    if (note == NULL || note[0] == '\0' || strlen(note) > NOTE_MAX)
        return ctl_complain(CTL_USAGE,
                            "--note is missing, or longer than %d bytes: what was seen, "
                            "and where",
                            NOTE_MAX);
    return CTL_FINE;
}

static int run_resolve(struct ctl *ctl, const struct command_args *args)
{
    const char *note = command_option(&command_payments_resolve, args, "note");
    struct request request = {.kind = "resolve", .order_id = args->operands[0]};
    struct buf argument;
    int64_t payment;
    int exit_code = check(args, note);
    if (exit_code == CTL_FINE)
        exit_code = request_timeout(&command_payments_resolve, args, &request.timeout_ms);
    if (exit_code == CTL_FINE)
        exit_code =
            command_number(&command_payments_resolve, args, "payment", 0, 1, INT32_MAX, &payment);
    if (exit_code != CTL_FINE)
        return exit_code;
    buf_init(&argument, ARGUMENT_MAX);
    (void)buf_printf(&argument, "{\"outcome\":\"%s\",\"note\":", args->operands[1]);
    (void)buf_json_str(&argument, note);
    if (payment > 0)
        (void)buf_printf(&argument, ",\"payment\":%lld", (long long)payment);
    (void)buf_char(&argument, '}');
    request.argument = buf_text(&argument);
    exit_code =
        argument.failed ? ctl_complain(CTL_FAILED, "out of memory") : request_run(ctl, &request);
    buf_free(&argument);
    return exit_code;
}

const struct command command_payments_resolve = {
    .words = "payments resolve",
    .operands = "ORDER OUTCOME",
    .operand_count = 2,
    .summary = "resolves an unclear payment, or a failed refund",
    .details =
        "OUTCOME is captured or not-captured, as you have seen it at the gateway, release, or "
        "refunded. "
        "The consumer that serves the order executes it. Captured: the order is confirmed, unless "
        "the gateway's list shows another sum. "
        "Not-captured: whatever the gateway's list shows for the order is cancelled first, "
        "then its unit goes to the next waiting order; should the list show a success after all, "
        "the order is confirmed. Release: the order fails at once and its unit goes on, whatever "
        "the gateway does; money that it takes late is refunded. Refunded: of a refund that "
        "failed, the money went back outside of the gateway, by a bank transfer for example. No "
        "alarm rings for it any more, and it is not tried again; a confirmed order is refunded, "
        "and its units stay sold.",
    .options = {{"note", "TEXT", "why, for the record (required)"},
                {"payment", "ATTEMPT", "refunded: this payment of several"},
                REQUEST_TIMEOUT_OPTION},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_resolve,
};
