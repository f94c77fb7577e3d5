/* Deliveries of webhooks: what became of each, a test, and once more. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/parse.h"
#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/webhooks/endpoint.h"

#define LIMIT_USUAL 50
#define LIMIT_MAX 100000
#define NUMBER_SIZE 24
#define TEST_MS 25000
#define LOOK_MS 100

#define TIME(of) "to_char(" of " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define COLUMNS                                                                                    \
    "select d.delivery_id, d.endpoint, d.type, d.order_id, d.state, d.attempts, d.status,"         \
    "       d.duration_ms, d.problem, " TIME("d.at") ", " TIME("coalesce(d.ended_at, d.due_at)")

static const struct pg_statement list_statement = {
    "ctl_hooks_deliveries",
    COLUMNS ", d.event_id, d.answer from checkout.hook_deliveries d"
            " where ($1::text is null or d.endpoint = $1) and ($2::text is null or d.state = $2)"
            "   and ($3::uuid is null or d.order_id = $3)"
            " order by d.delivery_id desc limit $4::integer",
    4};
static const struct pg_statement test_statement = {"ctl_hooks_test",
                                                   "select checkout.test_hook($1::text)", 1};
static const struct pg_statement result_statement = {
    "ctl_hooks_result",
    "select d.state, d.status, d.duration_ms, d.problem, d.answer"
    "  from checkout.hook_deliveries d where d.delivery_id = $1::bigint",
    1};
static const struct pg_statement replay_statement = {
    "ctl_hooks_replay",
    "select checkout.replay_hooks($1::text, $2::bigint, $3::boolean, $4::timestamptz)", 4};

static const struct table_column columns[] = {
    {"DELIVERY", "delivery_id", TABLE_NUMBER},
    {"ENDPOINT", "endpoint", TABLE_TEXT},
    {"TYPE", "type", TABLE_TEXT},
    {"ORDER", "order_id", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"ATTEMPTS", "attempts", TABLE_NUMBER},
    {"STATUS", "status", TABLE_NUMBER},
    {"MS", "duration_ms", TABLE_NUMBER},
    {"PROBLEM", "problem", TABLE_TEXT},
    {"AT", "at", TABLE_TEXT},
    {"ENDED OR DUE", "ended_or_due_at", TABLE_TEXT},
    {"EVENT", "event_id", TABLE_TEXT},
    {"ANSWER", "answer", TABLE_TEXT},
};

static bool is_state(const char *word)
{
    return strcmp(word, "due") == 0 || strcmp(word, "sent") == 0 || strcmp(word, "failed") == 0;
}

static int run_list(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_webhooks_deliveries;
    const char *state = command_option(command, args, "state");
    const char *order = command_option(command, args, "order");
    char number[NUMBER_SIZE];
    int64_t limit = 0;
    struct table *table;
    int exit_code = args->operands[0] == NULL ? CTL_FINE : endpoint_check_name(args->operands[0]);
    if (exit_code == CTL_FINE && state != NULL && !is_state(state))
        exit_code =
            ctl_complain(CTL_USAGE, "--state: \"%.40s\" is none of due, sent, failed", state);
    if (exit_code == CTL_FINE && order != NULL && !order_text_is_id(order))
        exit_code = ctl_complain(CTL_USAGE, "--order: \"%.40s\" is no order id", order);
    if (exit_code == CTL_FINE)
        exit_code = command_number(command, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    const char *const params[] = {args->operands[0], state, order, number};
    if (exit_code == CTL_FINE)
        exit_code = args->operands[0] == NULL ? ctl_need(ctl, &contact_pg)
                                              : endpoint_need(ctl, args->operands[0]);
    if (exit_code == CTL_FINE)
        exit_code =
            listing_query(ctl, &list_statement, params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, limit, "no deliveries", "limit", false);
    table_free(table);
    return CTL_FINE;
}

const struct command command_webhooks_deliveries = {
    .words = "webhooks deliveries",
    .operands = "[NAME]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "shows deliveries, newest first, with their answers",
    .details = "A delivery is due (it waits for its turn or its next attempt, or is under way), "
               "sent (answered 2xx), or failed (tried for too long). Those that ended are kept for "
               "CHECKOUT_HOOKS_KEEP, 100,000 of an endpoint at most.",
    .options = {{"state", "X", "only due, sent or failed"},
                {"order", "ID", "only of this order"},
                {"limit", "N", "at most N deliveries (50)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_list,
};

/* ---- a test ---- */

struct test {
    char state[16];
    char status[NUMBER_SIZE];
    char duration[NUMBER_SIZE];
    char problem[256];
    char answer[256];
};

static void take_id(const struct pg_result *result, void *arg)
{
    (void)snprintf(arg, NUMBER_SIZE, "%s", pg_text(result, 0, 0));
}

static void take_result(const struct pg_result *result, void *arg)
{
    struct test *test = arg;
    if (pg_rows(result) == 0)
        return;
    (void)snprintf(test->state, sizeof test->state, "%s", pg_text(result, 0, 0));
    (void)snprintf(test->status, sizeof test->status, "%s", pg_text(result, 0, 1));
    (void)snprintf(test->duration, sizeof test->duration, "%s", pg_text(result, 0, 2));
    (void)snprintf(test->problem, sizeof test->problem, "%s", pg_text(result, 0, 3));
    (void)snprintf(test->answer, sizeof test->answer, "%s", pg_text(result, 0, 4));
}

static int show_test(const struct ctl *ctl, const struct test *test)
{
    bool sent = strcmp(test->state, "sent") == 0;
    struct buf line;
    if (strcmp(test->state, "due") == 0)
        return ctl_complain(CTL_FAILED, "it was not tried within %d s: does checkout-webhooks run?",
                            TEST_MS / 1000);
    buf_init(&line, 2048);
    if (ctl->json) {
        (void)buf_printf(&line, "{\"sent\":%s,\"status\":%s,\"duration_ms\":%s,\"problem\":",
                         sent ? "true" : "false", test->status[0] == '\0' ? "null" : test->status,
                         test->duration);
        (void)buf_json_str(&line, test->problem);
        (void)buf_str(&line, ",\"answer\":");
        (void)buf_json_str(&line, test->answer);
        (void)buf_str(&line, "}");
    } else {
        (void)buf_printf(&line, "%s after %s ms%s%s%s%s", sent ? "taken" : "not taken",
                         test->duration, sent ? "" : ": ", test->problem,
                         test->answer[0] == '\0' ? "" : "\n", test->answer);
    }
    (void)puts(buf_text(&line));
    buf_free(&line);
    return sent ? CTL_FINE : CTL_FAILED;
}

static int run_test(struct ctl *ctl, const struct command_args *args)
{
    char id[NUMBER_SIZE] = "";
    struct test test = {.state = "due"};
    const char *const params[] = {id};
    uint64_t until_ms = clock_mono_ms() + TEST_MS;
    int exit_code = endpoint_check_name(args->operands[0]);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &test_statement, args->operands, take_id, id);
    if (exit_code == CTL_FINE && id[0] == '\0')
        return ctl_complain(CTL_FAILED, "there is no endpoint %s", args->operands[0]);
    while (exit_code == CTL_FINE && strcmp(test.state, "due") == 0 && clock_mono_ms() < until_ms) {
        exit_code = ctl_rest(ctl, LOOK_MS);
        if (exit_code == CTL_FINE)
            exit_code = ctl_query(ctl, &result_statement, params, take_result, &test);
    }
    return exit_code == CTL_FINE ? show_test(ctl, &test) : exit_code;
}

const struct command command_webhooks_test = {
    .words = "webhooks test",
    .operands = "NAME",
    .operand_count = 1,
    .summary = "sends an endpoint a test, and shows what it answers",
    .details =
        "Of type \"test\", without data, once, by checkout-webhooks; also while the endpoint "
        "is paused. Exit code 1 unless it answers 2xx.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_test,
};

/* ---- once more ---- */

static void take_count(const struct pg_result *result, void *arg)
{
    *(int64_t *)arg = pg_int(result, 0, 0);
}

static int run_replay(struct ctl *ctl, const struct command_args *args)
{
    const struct command *command = &command_webhooks_replay;
    const char *since = command_option(command, args, "since");
    const char *delivery = args->operands[1];
    bool failed = command_switch(command, args, "failed");
    int64_t number, count = 0;
    int64_t since_ms;
    const char *const params[] = {args->operands[0], delivery, failed ? "t" : "f", since};
    int exit_code = endpoint_check_name(args->operands[0]);
    if (exit_code == CTL_FINE && (delivery != NULL) + (since != NULL) + failed != 1)
        exit_code = ctl_complain(CTL_USAGE, "give one of DELIVERY, --failed and --since");
    if (exit_code == CTL_FINE && delivery != NULL && parse_int(delivery, 1, INT64_MAX, &number) < 0)
        exit_code = ctl_complain(CTL_USAGE, "\"%.40s\" is no number of a delivery", delivery);
    if (exit_code == CTL_FINE && since != NULL && clock_parse_rfc3339(since, &since_ms) < 0)
        exit_code = ctl_complain(CTL_USAGE,
                                 "--since: \"%.40s\" is no time like "
                                 "2026-01-31T23:59:59Z",
                                 since);
    if (exit_code == CTL_FINE)
        exit_code = endpoint_need(ctl, args->operands[0]);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &replay_statement, params, take_count, &count);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (count == 0 && delivery != NULL)
        return ctl_complain(CTL_FAILED, "no delivery %s of %s has ended", delivery,
                            args->operands[0]);
    if (ctl->json)
        (void)printf("{\"replayed\":%lld}\n", (long long)count);
    else
        (void)printf("%lld to be delivered again\n", (long long)count);
    return CTL_FINE;
}

const struct command command_webhooks_replay = {
    .words = "webhooks replay",
    .operands = "NAME [DELIVERY]",
    .operand_count = 2,
    .optional_count = 1,
    .summary = "delivers webhooks that have ended once more",
    .details = "With the same webhook-id, by which a receiver knows one that it has seen. Those of "
               "an order come in order.",
    .options = {{"failed", NULL, "all that failed, instead of one"},
                {"since", "TIME", "all of events from then on: 2026-01-31T23:59:59Z"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_replay,
};
