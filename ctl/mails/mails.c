/* Mails to buyers: which left, which did not, and once more. */
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/parse.h"
#include "ctl/command.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/table.h"

#define LIMIT_USUAL 50
#define LIMIT_MAX 100000
#define NUMBER_SIZE 24

static const struct pg_statement list_statement = {
    "ctl_mails_list",
    "select m.mail_id, m.order_id, m.kind, m.state, m.attempts, m.problem,"
    "       to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "       to_char(coalesce(m.ended_at, m.due_at) at time zone 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    "  from checkout.mails m where ($1::text is null or m.state = $1)"
    " order by m.mail_id desc limit $2::integer",
    2};
static const struct pg_statement show_statement = {
    "ctl_mails_show",
    "select m.mail_id, m.order_id, m.kind, m.state, m.attempts, m.problem,"
    "       to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "       to_char(coalesce(m.ended_at, m.due_at) at time zone 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "       m.claimed_by, o.mail_to, o.locale"
    "  from checkout.mails m join checkout.orders o on o.order_id = m.order_id"
    " where m.order_id = $1::uuid order by m.mail_id",
    1};
static const struct pg_statement retry_statement = {
    "ctl_mails_retry",
    "select count(*) filter (where checkout.retry_mail(m.mail_id)) from checkout.mails m"
    " where m.mail_id = $1::bigint or ($1 is null and m.state = 'failed')",
    1};
static const struct pg_statement kinds_statement = {
    "ctl_mails_kinds", "select array_to_string(kinds, ',') from checkout.mail_settings", 0};
static const struct pg_statement choose_kinds_statement = {
    "ctl_mails_choose_kinds",
    "update checkout.mail_settings set kinds = string_to_array($1::text, ',')"
    " returning array_to_string(kinds, ',')",
    1};

static const struct table_column columns[] = {
    {"MAIL", "mail_id", TABLE_NUMBER},
    {"ORDER", "order_id", TABLE_TEXT},
    {"KIND", "kind", TABLE_TEXT},
    {"STATE", "state", TABLE_TEXT},
    {"ATTEMPTS", "attempts", TABLE_NUMBER},
    {"PROBLEM", "problem", TABLE_TEXT},
    {"CREATED", "created_at", TABLE_TEXT},
    {"ENDED OR DUE", "ended_or_due_at", TABLE_TEXT},
    /* only of one order */
    {"CLAIMED BY", "claimed_by", TABLE_TEXT},
    {"TO", "mail_to", TABLE_TEXT},
    {"LOCALE", "locale", TABLE_TEXT},
};
#define LIST_COLUMNS 8

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static int run_list(struct ctl *ctl, const struct command_args *args)
{
    static const char *const states[] = {"due", "sent", "failed", "dropped"};
    const char *state = command_option(&command_mails_list, args, "state");
    char number[NUMBER_SIZE];
    int64_t limit;
    const char *const params[] = {state, number};
    struct table *table;
    if (state != NULL && !is_one_of(state, states, ARRAY_LEN(states)))
        return ctl_complain(CTL_USAGE, "--state: \"%.40s\" is none of due, sent, failed, dropped",
                            state);
    int exit_code =
        command_number(&command_mails_list, args, "limit", LIMIT_USUAL, 1, LIMIT_MAX, &limit);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(number, sizeof number, "%lld", (long long)limit);
    exit_code = listing_query(ctl, &list_statement, params, columns, LIST_COLUMNS, &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    listing_print(ctl, table, limit, "no mails", "limit", false);
    table_free(table);
    return CTL_FINE;
}

const struct command command_mails_list = {
    .words = "mails list",
    .operands = "",
    .summary = "shows mails to buyers, newest first",
    .details = "A mail is due (it waits for a mailer, for its next attempt, or is under way), sent "
               "(the mail server has taken it), failed (refused for good, or tried for too long), "
               "or dropped (what it tells had changed before it left).",
    .options = {{"state", "X", "only due, sent, failed or dropped"},
                {"limit", "N", "at most N mails (50)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_list,
};

static int run_show(struct ctl *ctl, const struct command_args *args)
{
    struct table *table;
    const char *const params[] = {args->operands[0]};
    if (!order_text_is_id(args->operands[0]))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", args->operands[0]);
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code =
            listing_query(ctl, &show_statement, params, columns, ARRAY_LEN(columns), &table);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (ctl->json)
        table_print_json_lines(table);
    else if (table_rows(table) == 0)
        (void)puts("no mails: the order has no address, or nothing to tell yet");
    for (size_t row = 0; !ctl->json && row < table_rows(table); row++) {
        if (row > 0)
            (void)puts("");
        table_print_record(table, row);
    }
    table_free(table);
    return CTL_FINE;
}

const struct command command_mails_show = {
    .words = "mails show",
    .operands = "ORDER",
    .operand_count = 1,
    .summary = "shows the mails of an order, with its buyer's address",
    .details = "",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_show,
};

static void take_count(const struct pg_result *result, void *arg)
{
    *(int64_t *)arg = pg_int(result, 0, 0);
}

static int run_retry(struct ctl *ctl, const struct command_args *args)
{
    const char *mail = args->operands[0];
    bool all = command_switch(&command_mails_retry, args, "failed");
    int64_t count = 0;
    int64_t id;
    const char *const params[] = {mail};
    if (all == (mail != NULL) || (mail != NULL && parse_int(mail, 1, INT64_MAX, &id) < 0))
        return ctl_complain(CTL_USAGE, "mails retry needs the number of a mail, or --failed");
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &retry_statement, params, take_count, &count);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (count == 0 && !all)
        return ctl_complain(CTL_FAILED, "mail %s is neither failed nor dropped", mail);
    if (ctl->json)
        (void)printf("{\"retried\":%lld}\n", (long long)count);
    else
        (void)printf("%lld to be tried again\n", (long long)count);
    return CTL_FINE;
}

const struct command command_mails_retry = {
    .words = "mails retry",
    .operands = "[MAIL]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "has a mail that failed or was dropped tried again",
    .details = "MAIL is its number in mails list. A mail whose news is stale is dropped again.",
    .options = {{"failed", NULL, "all that failed, instead of one"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_retry,
};

/* A list of kinds, without spaces; an empty one has none. */
static bool are_kinds(const char *list)
{
    static const char *const kinds[] = {"confirmed", "refunded", "action", "rejected", "waiting"};
    char word[16];
    if (*list == '\0')
        return true;
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        (void)snprintf(word, sizeof word, "%.*s", (int)len, p);
        if (len >= sizeof word || !is_one_of(word, kinds, ARRAY_LEN(kinds)))
            return false;
        p += len;
        if (*p == '\0')
            return true;
    }
}

#define KINDS_LIST_MAX 64 /* all of them, and the commas */

static void take_kinds(const struct pg_result *result, void *arg)
{
    (void)snprintf(arg, KINDS_LIST_MAX, "%s", pg_text(result, 0, 0));
}

static int run_kinds(struct ctl *ctl, const struct command_args *args)
{
    const char *const params[] = {args->operands[0]};
    bool chooses = params[0] != NULL;
    char kinds[KINDS_LIST_MAX] = "";
    if (chooses && !are_kinds(params[0]))
        return ctl_complain(CTL_USAGE,
                            "\"%.80s\" is no list of confirmed, refunded, action, rejected, "
                            "waiting, separated by commas",
                            params[0]);
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, chooses ? &choose_kinds_statement : &kinds_statement, params,
                              take_kinds, kinds);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (ctl->json)
        (void)printf("{\"kinds\":\"%s\"}\n", kinds);
    else
        (void)printf("mails are written about: %s\n", kinds[0] == '\0' ? "nothing" : kinds);
    return CTL_FINE;
}

const struct command command_mails_kinds = {
    .words = "mails kinds",
    .operands = "[KINDS]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "shows or chooses what buyers get mails about",
    .details = "Without KINDS it shows what is chosen. With it, from the next order on, of all "
               "buyers with an address. KINDS is a list of "
               "confirmed, refunded, action (their bank wants them to act), rejected, and waiting "
               "(in line for a minute), separated by commas; an empty one (\"\") has none written. "
               "At first it is confirmed,refunded,action.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run_kinds,
};
