#include "ctl/audit/audit_returns.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/gateway.h"

#define ARRAY_MAX ((size_t)4 * 1024 * 1024)
#define PAGE_MAX 100
#define LOOK_MS 500
#define LOOKS 20 /* until it is recorded */

static const struct pg_statement compare = {
    "ctl_audit_returns",
    "select 'return-unrecorded', sku, order_id, shard, intent_id, found"
    "  from checkout.audit_returns($1::text[], $2::text[], $3::text[])",
    3};
static const struct pg_statement request_look = {
    "ctl_audit_request_look",
    "select command_id from checkout.request_order_command('webhook', $1::uuid,"
    " jsonb_build_object('type', 'audit', 'intent', $2::text), 'audit')",
    2};

struct comparison {
    struct ctl *ctl;
    struct audit_report *report;
    struct pay *pay;
    enum pay_return_kind kind; /* of the page */
    int64_t since_s;
    struct buf ids, intents, statuses; /* of the page, or of all that differ */
    char orders[PAGE_MAX][64];         /* of those that differ */
    char found_intents[PAGE_MAX][PAY_ID_MAX + 1];
    char after[PAY_ID_MAX + 1];
    size_t differing;
    int code;
    bool more;
    bool tell; /* what differs is a finding */
    uint64_t listed, recorded;
};

static void begin_page(struct comparison *c)
{
    struct buf *const arrays[] = {&c->ids, &c->intents, &c->statuses};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        buf_reset(arrays[i]);
        pg_array_begin(arrays[i]);
    }
}

static void end_page(struct comparison *c)
{
    struct buf *const arrays[] = {&c->ids, &c->intents, &c->statuses};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
        pg_array_end(arrays[i]);
}

static void listed(const struct pay_returns *page, void *arg)
{
    struct comparison *c = arg;
    c->code = page->code;
    c->more = page->has_more;
    for (size_t i = 0; i < page->count && i < PAGE_MAX; i++) {
        const struct pay_return *found = &page->items[i];
        (void)snprintf(c->after, sizeof c->after, "%s", found->id);
        if (found->created_s < c->since_s)
            c->more = false; /* newest first: those behind are older */
        if (found->intent_id == NULL)
            continue;
        c->listed++;
        pg_array_text(&c->ids, found->id);
        pg_array_text(&c->intents, found->intent_id);
        pg_array_text(&c->statuses, found->status);
    }
    loop_stop(c->ctl->loop);
}

static int ask_page(void *arg)
{
    struct comparison *c = arg;
    begin_page(c);
    return pay_returns(c->pay, c->kind, NULL, c->after[0] == '\0' ? NULL : c->after, listed, c);
}

static int list_page(struct comparison *c)
{
    int code = gateway_ask(c->ctl, ask_page, c, &c->code);
    end_page(c);
    return code;
}

static void differ(const struct pg_result *result, void *arg)
{
    struct comparison *c = arg;
    c->differing = 0;
    for (int row = 0; row < pg_rows(result) && row < PAGE_MAX; row++) {
        const struct audit_finding finding = audit_finding_of(result, row);
        if (c->tell)
            audit_report_add(c->report, &finding);
        size_t i = c->differing++;
        (void)snprintf(c->orders[i], sizeof c->orders[i], "%s", finding.order_id);
        (void)snprintf(c->found_intents[i], sizeof c->found_intents[i], "%s", finding.intent_id);
    }
}

static int ask(struct comparison *c)
{
    const char *const params[] = {buf_text(&c->ids), buf_text(&c->intents), buf_text(&c->statuses)};
    return ctl_query(c->ctl, &compare, params, differ, c);
}

static int request_looks(struct comparison *c)
{
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < c->differing && exit_code == CTL_FINE; i++) {
        const char *const params[] = {c->orders[i], c->found_intents[i]};
        exit_code = ctl_query(c->ctl, &request_look, params, NULL, NULL);
    }
    return exit_code;
}

/* What is not recorded is looked at by the owner of its order, which then records it. */
static int compare_page(struct comparison *c)
{
    int exit_code = ask(c);
    size_t first = c->differing;
    if (exit_code != CTL_FINE || first == 0)
        return exit_code;
    exit_code = request_looks(c);
    for (int looks = 0; looks < LOOKS && exit_code == CTL_FINE && c->differing > 0; looks++) {
        exit_code = ctl_rest(c->ctl, LOOK_MS);
        if (exit_code == CTL_FINE)
            exit_code = ask(c);
    }
    c->tell = true;
    if (exit_code == CTL_FINE && c->differing > 0)
        exit_code = ask(c);
    c->tell = false;
    c->recorded += first - c->differing;
    return exit_code;
}

static int compare_kind(struct comparison *c, enum pay_return_kind kind)
{
    const char *name = kind == PAY_RETURN_REFUND ? "refunds" : "disputes";
    int exit_code = CTL_FINE;
    c->kind = kind;
    c->after[0] = '\0';
    do {
        progress_show(&c->report->progress, "gateway: refunds and disputes", 0, 0);
        int code = list_page(c);
        if (kind == PAY_RETURN_DISPUTE && (code == ERR_AUTH || code == ERR_REFUSED)) {
            (void)ctl_complain(0, "the gateway's key may not read disputes: they are not checked");
            return CTL_FINE;
        }
        if (code < 0)
            return ctl_complain(CTL_FAILED, "the gateway's list of %s: %s", name, err_text(code));
        exit_code = compare_page(c);
    } while (exit_code == CTL_FINE && c->more);
    return exit_code;
}

int audit_returns(struct ctl *ctl, struct pay *pay, int64_t since_s, struct audit_report *report)
{
    static struct comparison c; /* too large for the stack */
    c = (struct comparison){
        .ctl = ctl, .report = report, .pay = pay, .since_s = since_s < 1 ? 0 : since_s};
    buf_init(&c.ids, ARRAY_MAX);
    buf_init(&c.intents, ARRAY_MAX);
    buf_init(&c.statuses, ARRAY_MAX);
    int exit_code = compare_kind(&c, PAY_RETURN_REFUND);
    if (exit_code == CTL_FINE)
        exit_code = compare_kind(&c, PAY_RETURN_DISPUTE);
    progress_end(&report->progress);
    audit_report_checked(report, "gateway_returns", "refunds and disputes there", c.listed);
    audit_report_checked(report, "gateway_returns_recorded", "of them recorded just now",
                         c.recorded);
    buf_free(&c.ids);
    buf_free(&c.intents);
    buf_free(&c.statuses);
    return exit_code;
}
