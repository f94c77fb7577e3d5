#include "ctl/audit/audit_database.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/err.h"

#define NUMBER_SIZE 24

/* A sale goes on meanwhile: no locks, no writes, one backend with little memory, and temporary
 * files of the server for the rest. It reads whole tables in the order of the disk (an index over
 * random ids reads each page many times). A stopped terminal must not keep the snapshot for
 * ever. */
static const struct pg_statement begin = {
    "ctl_audit_begin", "begin transaction isolation level repeatable read read only", 0};
static const struct pg_statement settle_in = {
    "ctl_audit_settings",
    "select set_config('max_parallel_workers_per_gather', '0', true),"
    " set_config('work_mem', '16MB', true), set_config('hash_mem_multiplier', '2', true),"
    " set_config('random_page_cost', '10', true), set_config('cursor_tuple_fraction', '1', true),"
    " set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),"
    " set_config('statement_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '60s', true)",
    0};
static const struct pg_statement end = {"ctl_audit_end", "commit", 0};
static const struct pg_statement count_rows = {
    "ctl_audit_rows",
    "select items, orders, events, line, payments, shards from checkout.audit_rows()", 0};
static const struct pg_statement count_aside = {"ctl_audit_jobs_aside",
                                                "select count(*) from checkout.jobs_aside", 0};
static const struct pg_statement count_purged = {
    "ctl_audit_count_purged", "select coalesce(sum(orders), 0) from checkout.purged_items", 0};
/* Each fetch is a result, and only one is in our memory. */
static const struct pg_statement fetch = {"ctl_audit_fetch", "fetch 200 from audit", 0};
static const struct pg_statement close_cursor = {"ctl_audit_close", "close audit", 0};

#define CURSOR "declare audit no scroll cursor for select " AUDIT_COLUMNS " from checkout."
#define CHECK(name, call, params)                                                                  \
    {                                                                                              \
        "ctl_audit_" name, CURSOR call, params                                                     \
    }

static const struct check {
    const char *what;
    struct pg_statement cursor; /* its parameter, if it has one: how long is too long, in ms */
} checks[] = {
    {"sums of items", CHECK("items", "audit_items()", 0)},
    {"units of customers", CHECK("customers", "audit_customers()", 0)},
    {"histories of orders", CHECK("events", "audit_events()", 0)},
    {"lines", CHECK("line", "audit_line($1::bigint)", 1)},
    {"jobs set aside", CHECK("aside", "audit_aside()", 0)},
    {"turns of waitlists", CHECK("turns", "audit_turns()", 0)},
    {"payments", CHECK("payments", "audit_payments($1::bigint)", 1)},
    {"refunds", CHECK("refunds", "audit_refunds($1::bigint)", 1)},
    {"orders after a closing", CHECK("windows", "audit_windows()", 0)},
    {"epochs and relays", CHECK("shards", "audit_shards()", 0)},
    {"purged orders", CHECK("purged", "audit_purged()", 0)},
};

struct page {
    struct audit_report *report;
    int rows;
};

static void add_rows(const struct pg_result *result, void *arg)
{
    struct page *page = arg;
    page->rows = pg_rows(result);
    for (int row = 0; row < page->rows; row++) {
        struct audit_finding finding = audit_finding_of(result, row);
        audit_report_add(page->report, &finding);
    }
}

static void counted(const struct pg_result *result, void *arg)
{
    static const char *const names[] = {"items",     "orders",       "events",
                                        "line_rows", "payment_rows", "shards"};
    static const char *const words[] = {"items",         "orders",   "events",
                                        "rows of lines", "payments", "shards"};
    struct audit_report *report = arg;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        audit_report_checked(report, names[i], words[i], (uint64_t)pg_int(result, 0, (int)i));
}

static void counted_aside(const struct pg_result *result, void *arg)
{
    audit_report_checked(arg, "jobs_aside", "jobs set aside", (uint64_t)pg_int(result, 0, 0));
}

static void counted_purged(const struct pg_result *result, void *arg)
{
    audit_report_checked(arg, "purged_orders", "orders purged before",
                         (uint64_t)pg_int(result, 0, 0));
}

static int run_check(struct ctl *ctl, const struct check *check, const char *older,
                     struct audit_report *report)
{
    const char *const params[] = {older};
    struct page page = {report, 1};
    int exit_code = ctl_query(ctl, &check->cursor, params, NULL, NULL);
    while (exit_code == CTL_FINE && page.rows > 0)
        exit_code = ctl_query(ctl, &fetch, NULL, add_rows, &page);
    return exit_code == CTL_FINE ? ctl_query(ctl, &close_cursor, NULL, NULL, NULL) : exit_code;
}

int audit_database(struct ctl *ctl, int64_t older_ms, struct audit_report *report)
{
    char older[NUMBER_SIZE], what[96];
    (void)snprintf(older, sizeof older, "%" PRId64, older_ms);
    int exit_code = ctl_query(ctl, &begin, NULL, NULL, NULL);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &settle_in, NULL, NULL, NULL);
    progress_show(&report->progress, "database: counting rows", 0, 0);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &count_rows, NULL, counted, report);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &count_aside, NULL, counted_aside, report);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(ctl, &count_purged, NULL, counted_purged, report);
    for (size_t i = 0; i < ARRAY_LEN(checks) && exit_code == CTL_FINE; i++) {
        (void)snprintf(what, sizeof what, "database: %s, check %zu of %zu", checks[i].what, i + 1,
                       ARRAY_LEN(checks));
        progress_end(&report->progress);
        progress_show(&report->progress, what, 0, 0);
        exit_code = run_check(ctl, &checks[i], older, report);
    }
    progress_end(&report->progress);
    return exit_code == CTL_FINE ? ctl_query(ctl, &end, NULL, NULL, NULL) : exit_code;
}
