#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"
#include "ctl/human.h"
#include "ctl/listing.h"
#include "ctl/orders/order_text.h"
#include "ctl/orders/orders_purged.h"
#include "ctl/orders/orders_queued.h"
#include "ctl/table.h"

#define DOCUMENT_MAX ((size_t)4 * 1024 * 1024)
#define PARAGRAPH_MAX ((size_t)4096)
#define AHEAD_DEPTH "2000"
#define AHEAD_SHOWN "10"
#define TIME_FORMAT "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define CLOCK_AT 11  /* offset of the time of day in a time as text */
#define CLOCK_LEN 12 /* HH:MM:SS.mmm */

static const struct pg_statement select_order = {
    "ctl_explain_order",
    "select order_id, user_id, sku, quantity, status, reason, amount, currency, reference, shard,"
    "       traceparent from checkout.orders where order_id = $1::uuid",
    1};
enum {
    ORDER_ID,
    ORDER_USER,
    ORDER_SKU,
    ORDER_QUANTITY,
    ORDER_STATUS,
    ORDER_REASON,
    ORDER_AMOUNT,
    ORDER_CURRENCY,
    ORDER_REFERENCE,
    ORDER_SHARD
};
static const struct table_column order_columns[] = {
    {"", "id", TABLE_TEXT},         {"", "user", TABLE_TEXT},        {"", "sku", TABLE_TEXT},
    {"", "quantity", TABLE_NUMBER}, {"", "status", TABLE_TEXT},      {"", "reason", TABLE_TEXT},
    {"", "amount", TABLE_NUMBER},   {"", "currency", TABLE_TEXT},    {"", "reference", TABLE_TEXT},
    {"", "shard", TABLE_NUMBER},    {"", "traceparent", TABLE_TEXT},
};

static const struct pg_statement select_story = {
    "ctl_explain_story",
    "select to_char(at, " TIME_FORMAT ", (extract(epoch from at) * 1000)::bigint, kind, status,"
    "       reason, sequence, event_id, place_in_line, epoch, member, relayed,"
    "       to_char(relayed_at, " TIME_FORMAT ", attempt, amount, currency, code, intent_id, key,"
    "       asked_by, what, units, result, to_char(finished_at, " TIME_FORMAT
    "  from checkout.show_story($1::uuid)",
    1};
enum {
    STORY_AT,
    STORY_AT_MS,
    STORY_KIND,
    STORY_STATUS,
    STORY_REASON,
    STORY_SEQUENCE,
    STORY_EVENT,
    STORY_PLACE,
    STORY_EPOCH,
    STORY_MEMBER,
    STORY_RELAYED,
    STORY_RELAYED_AT,
    STORY_ATTEMPT,
    STORY_AMOUNT,
    STORY_CURRENCY,
    STORY_CODE,
    STORY_INTENT,
    STORY_KEY,
    STORY_BY,
    STORY_WHAT,
    STORY_UNITS,
    STORY_RESULT
};
static const struct table_column story_columns[] = {
    {"", "at", TABLE_TEXT},          {"", "at_ms", TABLE_NUMBER},
    {"", "kind", TABLE_TEXT},        {"", "status", TABLE_TEXT},
    {"", "reason", TABLE_TEXT},      {"", "sequence", TABLE_NUMBER},
    {"", "event", TABLE_NUMBER},     {"", "place_in_line", TABLE_NUMBER},
    {"", "epoch", TABLE_NUMBER},     {"", "decided_by", TABLE_TEXT},
    {"", "relayed", TABLE_BOOL},     {"", "relayed_by", TABLE_TEXT},
    {"", "attempt", TABLE_NUMBER},   {"", "amount", TABLE_NUMBER},
    {"", "currency", TABLE_TEXT},    {"", "code", TABLE_TEXT},
    {"", "intent", TABLE_TEXT},      {"", "idempotency_key", TABLE_TEXT},
    {"", "asked_by", TABLE_TEXT},    {"", "asked", TABLE_TEXT},
    {"", "units", TABLE_NUMBER},     {"", "result", TABLE_TEXT},
    {"", "finished_at", TABLE_TEXT},
};

static const struct pg_statement select_ahead = {
    "ctl_explain_ahead",
    "select order_id, was, status, reason, to_char(updated_at, " TIME_FORMAT
    "  from checkout.show_ahead($1::uuid, " AHEAD_DEPTH ", " AHEAD_SHOWN ")",
    1};
enum { AHEAD_ID, AHEAD_WAS, AHEAD_STATUS, AHEAD_REASON };
static const struct table_column ahead_columns[] = {
    {"", "id", TABLE_TEXT},     {"", "was", TABLE_TEXT},        {"", "status", TABLE_TEXT},
    {"", "reason", TABLE_TEXT}, {"", "updated_at", TABLE_TEXT},
};

static const struct pg_statement select_standing = {
    "ctl_explain_standing",
    "select ahead, may_wait_ms, stopped, stock, held, sold, waiting, paused, shard_paused"
    "  from checkout.show_standing($1::uuid)",
    1};
enum {
    STANDING_AHEAD,
    STANDING_MAY_WAIT_MS,
    STANDING_STOPPED,
    STANDING_STOCK,
    STANDING_HELD,
    STANDING_SOLD,
    STANDING_WAITING,
    STANDING_PAUSED,
    STANDING_SHARD_PAUSED
};
static const struct table_column standing_columns[] = {
    {"", "ahead", TABLE_NUMBER},       {"", "may_wait_ms", TABLE_NUMBER},
    {"", "clock_stopped", TABLE_BOOL}, {"", "stock", TABLE_NUMBER},
    {"", "held", TABLE_NUMBER},        {"", "sold", TABLE_NUMBER},
    {"", "waiting", TABLE_NUMBER},     {"", "paused", TABLE_BOOL},
    {"", "shard_paused", TABLE_BOOL},
};

enum { PART_ORDER, PART_STORY, PART_AHEAD, PART_STANDING, PARTS };

static const struct {
    const struct pg_statement *statement;
    const struct table_column *columns;
    size_t count;
} parts[PARTS] = {
    {&select_order, order_columns, ARRAY_LEN(order_columns)},
    {&select_story, story_columns, ARRAY_LEN(story_columns)},
    {&select_ahead, ahead_columns, ARRAY_LEN(ahead_columns)},
    {&select_standing, standing_columns, ARRAY_LEN(standing_columns)},
};

/* ---- JSON ---- */

static void json_list(const struct table *table, const char *name, struct buf *out)
{
    (void)buf_printf(out, ",\"%s\":[", name);
    for (size_t row = 0; row < table_rows(table); row++) {
        if (row > 0)
            (void)buf_char(out, ',');
        table_json_known(table, row, out);
    }
    (void)buf_char(out, ']');
}

static void print_json(struct table *const *tables)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    table_json_open_row(tables[PART_ORDER], 0, &out);
    json_list(tables[PART_STORY], "story", &out);
    json_list(tables[PART_AHEAD], "was_ahead", &out);
    (void)buf_str(&out, ",\"standing\":");
    if (table_rows(tables[PART_STANDING]) > 0)
        table_json_known(tables[PART_STANDING], 0, &out);
    else
        (void)buf_str(&out, "null");
    (void)printf("%s}\n", buf_text(&out));
    buf_free(&out);
}

/* ---- words ---- */

static bool yes(const char *value)
{
    return value != NULL && value[0] == 't';
}

static void print_head(const struct table *order)
{
    const char *amount = table_value(order, 0, ORDER_AMOUNT);
    const char *reference = table_value(order, 0, ORDER_REFERENCE);
    struct buf text;
    buf_init(&text, PARAGRAPH_MAX);
    (void)buf_printf(&text, "Order %s of user %s: %s of %s", table_value(order, 0, ORDER_ID),
                     table_value(order, 0, ORDER_USER), table_value(order, 0, ORDER_QUANTITY),
                     table_value(order, 0, ORDER_SKU));
    char money[HUMAN_MONEY_SIZE];
    human_money(amount, table_value(order, 0, ORDER_CURRENCY), money);
    if (amount != NULL)
        (void)buf_printf(&text, " for %s", money);
    if (reference != NULL)
        (void)buf_printf(&text, ", reference %s", reference);
    (void)buf_printf(
        &text, ". It is %s%s%s.", table_value(order, 0, ORDER_STATUS),
        table_value(order, 0, ORDER_REASON) == NULL ? "" : ": ",
        table_value(order, 0, ORDER_REASON) == NULL ? "" : table_value(order, 0, ORDER_REASON));
    order_text_print("", buf_text(&text));
    buf_free(&text);
}

static void read_step(const struct table *story, size_t row, char relayed_at[CLOCK_LEN + 1],
                      struct order_step *ret_step)
{
    const char *relayed = table_value(story, row, STORY_RELAYED_AT);
    relayed_at[0] = '\0';
    if (relayed != NULL)
        (void)snprintf(relayed_at, CLOCK_LEN + 1, "%.12s", relayed + CLOCK_AT);
    *ret_step = (struct order_step){
        .kind = table_value(story, row, STORY_KIND),
        .at_ms = table_int(story, row, STORY_AT_MS),
        .status = table_value(story, row, STORY_STATUS),
        .reason = table_value(story, row, STORY_REASON),
        .sequence = table_int(story, row, STORY_SEQUENCE),
        .place = table_value(story, row, STORY_PLACE),
        .epoch = table_value(story, row, STORY_EPOCH),
        .member = table_value(story, row, STORY_MEMBER),
        .relayed = table_value(story, row, STORY_RELAYED),
        .relayed_at = relayed == NULL ? NULL : relayed_at,
        .attempt = table_value(story, row, STORY_ATTEMPT),
        .amount = table_value(story, row, STORY_AMOUNT),
        .currency = table_value(story, row, STORY_CURRENCY),
        .code = table_value(story, row, STORY_CODE),
        .intent = table_value(story, row, STORY_INTENT),
        .key = table_value(story, row, STORY_KEY),
        .asked_by = table_value(story, row, STORY_BY),
        .what = table_value(story, row, STORY_WHAT),
        .units = table_value(story, row, STORY_UNITS),
        .result = table_value(story, row, STORY_RESULT),
    };
}

/* Each step after its time; the day where it changes. */
static void print_story(const struct table *order, const struct table *story)
{
    struct order_teller teller = {.shard = table_value(order, 0, ORDER_SHARD)};
    char day[CLOCK_AT] = "";
    struct buf text;
    buf_init(&text, PARAGRAPH_MAX);
    for (size_t row = 0; row < table_rows(story); row++) {
        const char *at = table_value(story, row, STORY_AT);
        char head[CLOCK_LEN + 3], relayed_at[CLOCK_LEN + 1];
        struct order_step step;
        if (strncmp(at, day, CLOCK_AT - 1) != 0) {
            (void)snprintf(day, sizeof day, "%.10s", at);
            (void)printf("\n%s, times in UTC\n", day);
        }
        (void)snprintf(head, sizeof head, "%.12s  ", at + CLOCK_AT);
        read_step(story, row, relayed_at, &step);
        buf_reset(&text);
        order_text_step(&teller, &step, &text);
        order_text_print(head, buf_text(&text));
    }
    buf_free(&text);
}

static void print_standing(const struct table *order, const struct table *standing)
{
    struct buf text;
    char age[HUMAN_SIZE];
    if (table_rows(standing) == 0)
        return;
    buf_init(&text, PARAGRAPH_MAX);
    (void)buf_printf(
        &text, "Now: item %s, stock %s, held for payments %s, sold %s, waiting orders %s.",
        table_value(order, 0, ORDER_SKU), table_value(standing, 0, STANDING_STOCK),
        table_value(standing, 0, STANDING_HELD), table_value(standing, 0, STANDING_SOLD),
        table_value(standing, 0, STANDING_WAITING));
    if (table_value(standing, 0, STANDING_AHEAD) != NULL)
        (void)buf_printf(&text, " Ahead of this one on the waitlist: %s.",
                         table_value(standing, 0, STANDING_AHEAD));
    if (yes(table_value(standing, 0, STANDING_PAUSED)))
        (void)buf_str(&text, " The item is paused.");
    if (yes(table_value(standing, 0, STANDING_SHARD_PAUSED)))
        (void)buf_str(&text, " Its shard is paused.");
    if (table_value(standing, 0, STANDING_MAY_WAIT_MS) != NULL) {
        int64_t left_ms = table_int(standing, 0, STANDING_MAY_WAIT_MS);
        human_age(left_ms < 0 ? 0 : left_ms, age);
        (void)buf_printf(&text, " It may wait %s more%s.", age,
                         yes(table_value(standing, 0, STANDING_STOPPED))
                             ? ", and that time does not pass now"
                             : "");
    }
    (void)putchar('\n');
    order_text_print("", buf_text(&text));
    buf_free(&text);
}

static void print_ahead(const struct table *ahead)
{
    if (table_rows(ahead) == 0)
        return;
    order_text_print("", "\nAhead of it when it began to wait (the nearest " AHEAD_SHOWN
                         ", from the " AHEAD_DEPTH " previous events):");
    for (size_t row = 0; row < table_rows(ahead); row++) {
        const char *reason = table_value(ahead, row, AHEAD_REASON);
        (void)printf("  %s  %s, now %s%s%s\n", table_value(ahead, row, AHEAD_ID),
                     strcmp(table_value(ahead, row, AHEAD_WAS), "waiting") == 0 ? "waiting"
                                                                                : "paying",
                     table_value(ahead, row, AHEAD_STATUS), reason == NULL ? "" : ": ",
                     reason == NULL ? "" : reason);
    }
}

static void print(struct table *const *tables)
{
    print_head(tables[PART_ORDER]);
    print_story(tables[PART_ORDER], tables[PART_STORY]);
    print_standing(tables[PART_ORDER], tables[PART_STANDING]);
    print_ahead(tables[PART_AHEAD]);
    (void)putchar('\n');
    order_text_print("", "Not recorded: which producer accepted it, and which of the buyer's pages "
                         "were connected when its events were relayed.");
}

/* ---- the command ---- */

static int explain(struct ctl *ctl, const char *id, const char *user)
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
        exit_code = orders_explain_queued(ctl, id, user);
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
    const char *id = args->operands[0];
    const char *user = command_option(&command_orders_explain, args, "user");
    if (!order_text_is_id(id))
        return ctl_complain(CTL_USAGE, "\"%.40s\" is no order id", id);
    int exit_code = orders_queued_settings(ctl, user);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    return exit_code == CTL_FINE ? explain(ctl, id, user) : exit_code;
}

const struct command command_orders_explain = {
    .words = "orders explain",
    .operands = "ID",
    .operand_count = 1,
    .summary = "shows the whole story of one order",
    .details = "When it was accepted, which consumer decided it, what it waited for, the gateway's "
               "answers, and when its events went out; it names what is not recorded. For an order "
               "that no consumer has decided it shows what Redis and RabbitMQ know "
               "(CHECKOUT_REDIS_URL, CHECKOUT_AMQP_URL), and with --user whether the id was made "
               "for that user (CHECKOUT_ORDER_SECRET_FILE). Exit code 1: the order is unknown.",
    .options = {{"user", "U", "the user who claims it"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
