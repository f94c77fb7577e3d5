#include "ctl/audit/audit_gateway.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/audit/audit_captures.h"
#include "ctl/audit/audit_returns.h"
#include "ctl/audit/audit_suspects.h"
#include "ctl/gateway.h"
#include "ctl/refunded.h"

#define PAGE 100
#define SECOND_LOOK_MS 2000 /* what is only under way has arrived by then */
#define CLOCKS_APART_S 600  /* the gateway's and ours, at most */
#define TIME_SIZE 40
#define NUMBER_SIZE 24

/* When the listing begins, and the oldest time to compare. */
static const struct pg_statement select_times = {
    "ctl_audit_times",
    "select now(), case when $1::bigint > 0 then now() - $1::bigint * interval '1 ms' end", 1};
static const struct pg_statement begin = {
    "ctl_audit_captured_begin", "begin transaction isolation level repeatable read read only", 0};
static const struct pg_statement declare = {
    "ctl_audit_captured",
    "declare captured no scroll cursor for select intent_id, sku, order_id, shard"
    "  from checkout.audit_captured($1::timestamptz, $2::timestamptz)",
    2};
static const struct pg_statement fetch = {"ctl_audit_captured_fetch", "fetch 1000 from captured",
                                          0};
static const struct pg_statement end = {"ctl_audit_captured_end", "commit", 0};

struct comparison {
    struct ctl *ctl;
    struct audit_report *report;
    struct pay *pay;
    char from[TIME_SIZE]; /* "": from the beginning */
    char until[TIME_SIZE];
    int64_t since_s; /* 0: from the beginning */
    struct audit_captures captures;
    struct audit_captures
        refunded; /* of payments that went back whole; read if there is a suspect */
    bool refunds_known;
    struct audit_suspects page;
    struct audit_suspects suspects;
    char last_id[PAY_ID_MAX + 1]; /* of the previous page */
    int code;                     /* of the newest page */
    bool more;
    uint64_t intents, captured, others, unsettled;
    int rows;
};

/* ---- what did not agree ---- */

enum column {
    COLUMN_KIND,
    COLUMN_ORDER = 2,
    COLUMN_INTENT = 4,
    COLUMN_AMOUNT = 6,
    COLUMN_CURRENCY
};

/* Money that was taken for nothing and went back, whoever returned it. */
static bool went_back(struct comparison *c, const struct pg_result *result, int row)
{
    return strncmp(pg_text(result, row, COLUMN_KIND), "charged-", strlen("charged-")) == 0 &&
           refunded_has(&c->refunded, pg_text(result, row, COLUMN_INTENT),
                        pg_int(result, row, COLUMN_AMOUNT));
}

static void report_row(const struct pg_result *result, void *arg)
{
    struct comparison *c = arg;
    for (int row = 0; row < pg_rows(result); row++) {
        struct audit_finding finding = audit_finding_of(result, row);
        if (strcmp(pg_text(result, row, COLUMN_KIND), "unsettled") == 0)
            c->unsettled++;
        else if (!went_back(c, result, row))
            audit_report_add(c->report, &finding);
    }
}

/* Compares again, with newer tables: what still does not agree is a violation. */
static int second_look(struct comparison *c)
{
    if (c->suspects.count == 0)
        return CTL_FINE;
    progress_end(&c->report->progress);
    progress_show(&c->report->progress, "gateway: second check of what does not agree", 0, 0);
    int exit_code = ctl_rest(c->ctl, SECOND_LOOK_MS);
    if (exit_code == CTL_FINE && !c->refunds_known) {
        c->code = refunded_read(c->ctl, c->pay, c->since_s, &c->refunded);
        c->refunds_known = true;
        if (c->code < 0)
            return ctl_complain(CTL_FAILED, "the gateway's list of refunds: %s", err_text(c->code));
    }
    if (exit_code == CTL_FINE)
        exit_code = audit_suspects_compare(c->ctl, &c->suspects, report_row, c);
    audit_suspects_reset(&c->suspects);
    return exit_code;
}

static void suspect_rows(const struct pg_result *result, void *arg)
{
    struct comparison *c = arg;
    for (int row = 0; row < pg_rows(result) && c->code == 0; row++)
        c->code = audit_suspects_add(
            &c->suspects, pg_text(result, row, COLUMN_INTENT), pg_text(result, row, COLUMN_ORDER),
            pg_int(result, row, COLUMN_AMOUNT), pg_text(result, row, COLUMN_CURRENCY));
}

/* ---- the list ---- */

static int take_intent(struct comparison *c, const struct pay_intent *intent)
{
    c->intents++;
    (void)snprintf(c->last_id, sizeof c->last_id, "%s", intent->id);
    if (intent->state != PAY_INTENT_SUCCEEDED)
        return 0;
    if (intent->order_id == NULL) { /* each charge of ours carries its order's id */
        c->others++;
        return 0;
    }
    c->captured++;
    int code = audit_captures_add(&c->captures, intent->id);
    return code < 0 ? code
                    : audit_suspects_add(&c->page, intent->id, intent->order_id, intent->received,
                                         intent->currency);
}

static void listed(const struct pay_page *page, void *arg)
{
    struct comparison *c = arg;
    c->code = page->code;
    c->more = page->has_more;
    for (size_t i = 0; i < page->count && c->code == 0; i++)
        c->code = take_intent(c, &page->intents[i]);
    loop_stop(c->ctl->loop);
}

static int ask_page(void *arg)
{
    struct comparison *c = arg;
    const char *after = c->last_id[0] == '\0' ? NULL : c->last_id;
    return pay_list(c->pay, c->since_s, after, PAGE, listed, c);
}

static int complain_list(const struct comparison *c)
{
    const char *gateway = cfg_name(CFG_GATEWAY_URL);
    if (c->code == ERR_AUTH)
        return ctl_complain(CTL_FAILED, "the gateway refuses our key (%s)",
                            cfg_name(CFG_GATEWAY_KEY_FILE));
    if (c->code == ERR_REFUSED)
        return ctl_complain(CTL_FAILED,
                            "the gateway (%s) does not list its intents; audit --no-gateway "
                            "checks the database alone",
                            gateway);
    return ctl_complain(CTL_FAILED, "the gateway's list (%s): %s", gateway, err_text(c->code));
}

static int list_all(struct comparison *c)
{
    int exit_code = CTL_FINE;
    char what[96];
    do {
        audit_suspects_reset(&c->page);
        if (gateway_ask(c->ctl, ask_page, c, &c->code) < 0)
            return complain_list(c);
        (void)snprintf(what, sizeof what, "gateway: %" PRIu64 " intents", c->intents);
        progress_show(&c->report->progress, what, 0, 0);
        if (c->page.count > 0)
            exit_code = audit_suspects_compare(c->ctl, &c->page, suspect_rows, c);
        if (exit_code == CTL_FINE && c->code < 0)
            exit_code = ctl_complain(CTL_FAILED, "comparing captures: %s", err_text(c->code));
        if (exit_code == CTL_FINE && c->suspects.count + PAGE > AUDIT_SUSPECTS_MAX)
            exit_code = second_look(c);
    } while (exit_code == CTL_FINE && c->more);
    return exit_code == CTL_FINE ? second_look(c) : exit_code;
}

/* ---- what the list lacks ---- */

static void look_up(const struct pg_result *result, void *arg)
{
    struct comparison *c = arg;
    c->rows = pg_rows(result);
    for (int row = 0; row < c->rows; row++) {
        const char *intent_id = pg_text(result, row, 0);
        if (audit_captures_has(&c->captures, intent_id))
            continue;
        struct audit_finding finding = {
            .kind = "charge-missing",
            .sku = pg_text_or_null(result, row, 1),
            .order_id = pg_text(result, row, 2),
            .shard = pg_text(result, row, 3),
            .intent_id = pg_text_or_null(result, row, 0),
            .found = "its payment is captured, and the gateway's list has no such capture"};
        audit_report_add(c->report, &finding);
    }
}

static int find_missing(struct comparison *c)
{
    const char *const params[] = {c->from[0] == '\0' ? NULL : c->from, c->until};
    int exit_code = ctl_query(c->ctl, &begin, NULL, NULL, NULL);
    if (exit_code == CTL_FINE)
        exit_code = ctl_query(c->ctl, &declare, params, NULL, NULL);
    progress_end(&c->report->progress);
    progress_show(&c->report->progress, "gateway: looking for our captures in its list", 0, 0);
    c->rows = 1;
    while (exit_code == CTL_FINE && c->rows > 0)
        exit_code = ctl_query(c->ctl, &fetch, NULL, look_up, c);
    return exit_code == CTL_FINE ? ctl_query(c->ctl, &end, NULL, NULL, NULL) : exit_code;
}

/* ---- all of it ---- */

static void on_times(const struct pg_result *result, void *arg)
{
    struct comparison *c = arg;
    (void)snprintf(c->until, sizeof c->until, "%s", pg_text(result, 0, 0));
    (void)snprintf(c->from, sizeof c->from, "%s", pg_text(result, 0, 1));
}

static int compare_all(struct comparison *c, int64_t since_ms)
{
    char since[NUMBER_SIZE];
    (void)snprintf(since, sizeof since, "%" PRId64, since_ms);
    const char *const params[] = {since};
    int64_t since_s =
        since_ms == 0 ? 0 : ((int64_t)clock_wall_ms() - since_ms) / 1000 - CLOCKS_APART_S;
    c->since_s = since_s < 1 ? 0 : since_s;
    int exit_code = ctl_query(c->ctl, &select_times, params, on_times, c);
    if (exit_code == CTL_FINE)
        exit_code = list_all(c);
    if (exit_code == CTL_FINE)
        exit_code = find_missing(c);
    if (exit_code == CTL_FINE)
        exit_code = audit_returns(c->ctl, c->pay, c->since_s, c->report);
    progress_end(&c->report->progress);
    audit_report_checked(c->report, "gateway_intents", "intents of the gateway", c->intents);
    audit_report_checked(c->report, "gateway_captures", "captures there", c->captured);
    audit_report_checked(c->report, "gateway_unsettled", "of them not settled yet", c->unsettled);
    audit_report_checked(c->report, "gateway_others", "charges there without an order's id",
                         c->others);
    return exit_code;
}

int audit_gateway(struct ctl *ctl, int64_t since_ms, struct audit_report *report)
{
    struct comparison c = {
        .ctl = ctl,
        .report = report,
        .pay = gateway_open(ctl->loop, ctl->cfg, (uint32_t)cfg_int(ctl->cfg, CFG_GATEWAY_TIMEOUT))};
    if (c.pay == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    audit_suspects_init(&c.page);
    audit_suspects_init(&c.suspects);
    int exit_code = compare_all(&c, since_ms);
    audit_suspects_free(&c.page);
    audit_suspects_free(&c.suspects);
    audit_captures_free(&c.captures);
    audit_captures_free(&c.refunded);
    pay_free(c.pay);
    return exit_code;
}
