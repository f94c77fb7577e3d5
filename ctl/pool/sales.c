#include "ctl/pool/sales.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/human.h"
#include "ctl/listing.h"

#define LINE_COLUMNS 80
#define LINE_SIZE 320

static const struct pg_statement sales_now = {
    "ctl_sales_now",
    "select round(accepted_per_s * 1000)::bigint, round(confirmed_per_s * 1000)::bigint,"
    "       round(refused_per_s * 1000)::bigint, open_payments, payment_ms"
    "  from checkout.sales_now()",
    0};
static const struct pg_statement list_daemons = {
    "ctl_list_daemons",
    "select program, host, place, case when dead then 'dead' when ready then 'ready'"
    "       else 'not ready' end, not_ready, sockets, heartbeat_age_ms from "
    "checkout.list_daemons()",
    0};
enum {
    DAEMON_PROGRAM,
    DAEMON_HOST,
    DAEMON_PLACE,
    DAEMON_STATE,
    DAEMON_WHY,
    DAEMON_SOCKETS,
    DAEMON_AGE
};
static const struct table_column daemon_columns[] = {
    {"", "program", TABLE_TEXT},
    {"", "host", TABLE_TEXT},
    {"", "place", TABLE_TEXT},
    {"", "state", TABLE_TEXT},
    {"", "not_ready", TABLE_TEXT},
    {"", "sockets", TABLE_NUMBER},
    {"", "heartbeat_age_ms", TABLE_NUMBER},
};

static void read_sales(const struct pg_result *result, void *arg)
{
    struct sales *sales = arg;
    sales->accepted = (double)pg_int(result, 0, 0) / 1000;
    sales->confirmed = (double)pg_int(result, 0, 1) / 1000;
    sales->refused = (double)pg_int(result, 0, 2) / 1000;
    sales->payments = pg_int(result, 0, 3);
    sales->payment_ms = pg_int(result, 0, 4);
}

int sales_read(struct ctl *ctl, struct sales *ret_sales)
{
    int exit_code = listing_query(ctl, &list_daemons, NULL, daemon_columns,
                                  ARRAY_LEN(daemon_columns), &ret_sales->daemons);
    return exit_code == CTL_FINE ? ctl_query(ctl, &sales_now, NULL, read_sales, ret_sales)
                                 : exit_code;
}

void sales_free(struct sales *sales)
{
    table_free(sales->daemons);
}

static void print_rates(const struct sales *sales)
{
    char accepted[HUMAN_SIZE], confirmed[HUMAN_SIZE], refused[HUMAN_SIZE], age[HUMAN_SIZE];
    human_rate(sales->accepted, accepted);
    human_rate(sales->confirmed, confirmed);
    human_rate(sales->refused, refused);
    human_age(sales->payment_ms, age);
    (void)printf("sales: confirmed %s/s, refused %s/s, accepted %s/s\n", confirmed, refused,
                 accepted);
    if (sales->payments > 0)
        (void)printf("gateway: %" PRId64 " payments wait for it, the first for %s\n",
                     sales->payments, age);
}

static void print_daemons(const struct table *daemons)
{
    static const char *const programs[] = {"producer", "notifier", "mailer", "webhooks", "console"};
    static const char *const names[] = {"producers", "notifiers", "mailers", "webhook senders",
                                        "consoles"};
    int64_t sockets = 0, ready[ARRAY_LEN(programs)] = {0};
    for (size_t row = 0; row < table_rows(daemons); row++) {
        sockets += table_int(daemons, row, DAEMON_SOCKETS);
        for (size_t i = 0; i < ARRAY_LEN(programs); i++)
            ready[i] += strcmp(table_value(daemons, row, DAEMON_PROGRAM), programs[i]) == 0 &&
                        strcmp(table_value(daemons, row, DAEMON_STATE), "ready") == 0;
    }
    (void)printf("producers ready: %" PRId64 "; notifiers ready: %" PRId64 ", with %" PRId64
                 " sockets",
                 ready[0], ready[1], sockets);
    (void)putchar('\n');
    const char *between = "";
    for (size_t i = 2; i < ARRAY_LEN(programs); i++) { /* not every shop has these */
        if (ready[i] == 0)
            continue;
        (void)printf("%s%s ready: %" PRId64, between, names[i], ready[i]);
        between = "; ";
    }
    if (between[0] != '\0')
        (void)putchar('\n');
    for (size_t row = 0; row < table_rows(daemons); row++) {
        char age[HUMAN_SIZE];
        const char *why = table_value(daemons, row, DAEMON_WHY);
        const char *state = table_value(daemons, row, DAEMON_STATE);
        human_age(table_int(daemons, row, DAEMON_AGE), age);
        if (strcmp(state, "dead") == 0)
            why = "no heartbeat";
        if (strcmp(state, "ready") == 0)
            continue;
        char line[LINE_SIZE], shown[LINE_SIZE];
        (void)snprintf(line, sizeof line, "%s at %.30s %.40s is %s: %.60s (%s)",
                       table_value(daemons, row, DAEMON_PROGRAM),
                       table_value(daemons, row, DAEMON_HOST),
                       table_value(daemons, row, DAEMON_PLACE), state, why == NULL ? "" : why, age);
        human_short(line, LINE_COLUMNS, shown, sizeof shown);
        (void)puts(shown);
    }
}

void sales_print(const struct sales *sales)
{
    print_rates(sales);
    print_daemons(sales->daemons);
}

void sales_json(const struct sales *sales, struct buf *out)
{
    (void)buf_printf(out,
                     ",\"sales\":{\"accepted_per_second\":%.3f,\"confirmed_per_second\":%.3f,"
                     "\"refused_per_second\":%.3f,\"open_payments\":%" PRId64
                     ",\"oldest_payment_seconds\":%.3f},\"daemons\":",
                     sales->accepted, sales->confirmed, sales->refused, sales->payments,
                     (double)sales->payment_ms / 1000);
    table_json(sales->daemons, out);
}
