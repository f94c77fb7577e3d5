#include "ctl/pool/sales.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/human.h"
#include "ctl/listing.h"

#define LINE_COLUMNS 80
#define LINE_SIZE 320
#define LINES_LEAST 4          /* rates, gateway, daemons that are ready in two */
#define NAMED_MOST 4           /* daemons that are not well */
#define PAYMENTS_COUNTED 10000 /* by checkout.sales_now() at most */

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
        (void)printf("gateway: %" PRId64 "%s payments wait for it, the first for %s\n",
                     sales->payments, sales->payments >= PAYMENTS_COUNTED ? " or more" : "", age);
}

/* Not every shop has the last three. */
static const struct {
    const char *program;
    const char *many;
} kinds[] = {{"producer", "producers"},
             {"notifier", "notifiers"},
             {"mailer", "mailers"},
             {"webhooks", "webhook senders"},
             {"console", "consoles"}};

static bool is_ready(const struct table *daemons, size_t row)
{
    return strcmp(table_value(daemons, row, DAEMON_STATE), "ready") == 0;
}

static int64_t count_ready(const struct table *daemons, const char *program)
{
    int64_t ready = 0;
    for (size_t row = 0; row < table_rows(daemons); row++)
        ready += strcmp(table_value(daemons, row, DAEMON_PROGRAM), program) == 0 &&
                 is_ready(daemons, row);
    return ready;
}

static void print_ready(const struct table *daemons)
{
    int64_t sockets = 0;
    const char *between = "";
    for (size_t row = 0; row < table_rows(daemons); row++)
        if (strcmp(table_value(daemons, row, DAEMON_STATE), "dead") != 0)
            sockets += table_int(daemons, row, DAEMON_SOCKETS);
    (void)printf(
        "producers ready: %" PRId64 "; notifiers ready: %" PRId64 ", with %" PRId64 " sockets\n",
        count_ready(daemons, kinds[0].program), count_ready(daemons, kinds[1].program), sockets);
    for (size_t i = 2; i < ARRAY_LEN(kinds); i++) {
        int64_t ready = count_ready(daemons, kinds[i].program);
        if (ready == 0)
            continue;
        (void)printf("%s%s ready: %" PRId64, between, kinds[i].many, ready);
        between = "; ";
    }
    if (between[0] != '\0')
        (void)putchar('\n');
}

static void print_ill(const struct table *daemons, size_t row)
{
    char age[HUMAN_SIZE], line[LINE_SIZE], shown[LINE_SIZE];
    const char *why = table_value(daemons, row, DAEMON_WHY);
    const char *state = table_value(daemons, row, DAEMON_STATE);
    human_age(table_int(daemons, row, DAEMON_AGE), age);
    if (strcmp(state, "dead") == 0)
        why = "no heartbeat";
    (void)snprintf(line, sizeof line, "%s at %.30s %.40s is %s: %.60s (%s)",
                   table_value(daemons, row, DAEMON_PROGRAM),
                   table_value(daemons, row, DAEMON_HOST), table_value(daemons, row, DAEMON_PLACE),
                   state, why == NULL ? "" : why, age);
    human_short(line, LINE_COLUMNS, shown, sizeof shown);
    (void)puts(shown);
}

static size_t count_ill(const struct table *daemons)
{
    size_t ill = 0;
    for (size_t row = 0; row < table_rows(daemons); row++)
        ill += !is_ready(daemons, row);
    return ill;
}

static void print_daemons(const struct table *daemons)
{
    size_t ill = 0;
    print_ready(daemons);
    for (size_t row = 0; row < table_rows(daemons) && ill < NAMED_MOST; row++) {
        if (is_ready(daemons, row))
            continue;
        print_ill(daemons, row);
        ill++;
    }
    if (count_ill(daemons) > ill)
        (void)printf("daemons that are dead or not ready, and not shown: %zu\n",
                     count_ill(daemons) - ill);
}

size_t sales_lines(const struct sales *sales)
{
    size_t ill = count_ill(sales->daemons);
    return LINES_LEAST + (ill > NAMED_MOST ? NAMED_MOST + 1 : ill);
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
