#include "ctl/restore/adopt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/ids.h"
#include "ctl/gateway.h"
#include "ctl/human.h"
#include "ctl/refunded.h"

#define PAGE 100
#define CAPTURES_MAX ((size_t)256 * 1024) /* of a page, as JSON */

static const struct pg_statement adopt = {
    "ctl_restore_adopt",
    "select order_id, intent_id, coalesce(sku, '?'), amount, currency, result"
    "  from checkout.adopt_orders($1::jsonb, $2::boolean)",
    2};
enum { ORDER_ID, INTENT_ID, SKU, AMOUNT, CURRENCY, RESULT };

struct adopting {
    struct ctl *ctl;
    struct pay *pay;
    int64_t since_s;
    bool dry;
    struct adoption *adoption;
    struct audit_captures refunded;
    struct buf captures; /* of the page: elements of a JSON array */
    char last_id[PAY_ID_MAX + 1];
    int code;
    bool more;
};

/* ---- the gateway's lists ---- */

static int complain_list(const struct adopting *a)
{
    return ctl_complain(CTL_FAILED,
                        "the gateway's list (%s): %s; nothing was finished, run it again",
                        cfg_name(CFG_GATEWAY_URL), err_text(a->code));
}

static void put_text(struct buf *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    (void)buf_printf(out, "\"%s\":", name);
    (void)buf_json_str(out, value);
    (void)buf_char(out, ',');
}

static void put_capture(struct adopting *a, const struct pay_intent *intent)
{
    struct buf *out = &a->captures;
    (void)buf_str(out, out->len > 0 ? ",{" : "{");
    put_text(out, "order", intent->order_id);
    put_text(out, "intent", intent->id);
    put_text(out, "sku", intent->sku);
    put_text(out, "currency", intent->currency);
    put_text(out, "reference", intent->reference);
    put_text(out, "customer", intent->customer);
    (void)buf_printf(out, "\"quantity\":%" PRId64 ",\"amount\":%" PRId64 "}", intent->quantity,
                     intent->received);
}

static void take_intents(const struct pay_page *page, void *arg)
{
    struct adopting *a = arg;
    a->code = page->code;
    a->more = page->has_more;
    for (size_t i = 0; i < page->count && a->code == 0; i++) {
        const struct pay_intent *intent = &page->intents[i];
        (void)snprintf(a->last_id, sizeof a->last_id, "%s", intent->id);
        if (intent->state != PAY_INTENT_SUCCEEDED || intent->order_id == NULL ||
            !ids_well_formed(intent->order_id))
            continue;
        a->adoption->captures++;
        if (refunded_has(&a->refunded, intent->id, intent->received))
            a->adoption->refunded++;
        else
            put_capture(a, intent);
    }
    if (a->captures.failed)
        a->code = ERR_NOMEM;
    loop_stop(a->ctl->loop);
}

static int ask_page(void *arg)
{
    struct adopting *a = arg;
    buf_reset(&a->captures);
    return pay_list(a->pay, a->since_s, a->last_id[0] == '\0' ? NULL : a->last_id, PAGE,
                    take_intents, a);
}

/* ---- adopting ---- */

static const char *why_left(const char *result)
{
    static const char *const reasons[][2] = {
        {"no-facts", "its charge does not say what was ordered"},
        {"no-item", "the database has no such item: import it first"},
        {"no-room", "no unit of the item is free: restock it, or refund at the gateway"},
        {"ended", "its order ended without it: refund at the gateway"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strcmp(result, reasons[i][0]) == 0)
            return reasons[i][1];
    return result;
}

static void take_results(const struct pg_result *result, void *arg)
{
    struct adopting *a = arg;
    for (int row = 0; row < pg_rows(result); row++) {
        const char *word = pg_text(result, row, RESULT);
        char money[HUMAN_MONEY_SIZE];
        if (strcmp(word, "known") == 0) {
            a->adoption->known++;
        } else if (strcmp(word, "adopted") == 0) {
            a->adoption->adopted++;
        } else {
            a->adoption->left++;
            human_money(pg_text(result, row, AMOUNT), pg_text(result, row, CURRENCY), money);
            (void)ctl_complain(0, "order %s (%s, %s for %s) is not adopted: %s",
                               pg_text(result, row, ORDER_ID), pg_text(result, row, INTENT_ID),
                               money, pg_text(result, row, SKU), why_left(word));
        }
    }
}

static int adopt_page(struct adopting *a)
{
    struct buf page;
    if (a->captures.len == 0)
        return CTL_FINE;
    buf_init(&page, CAPTURES_MAX + 2);
    (void)buf_printf(&page, "[%s]", buf_text(&a->captures));
    const char *const params[] = {buf_text(&page), a->dry ? "t" : "f"};
    int exit_code = page.failed ? ctl_complain(CTL_FAILED, "out of memory")
                                : ctl_query(a->ctl, &adopt, params, take_results, a);
    buf_free(&page);
    return exit_code;
}

static int read_list(struct adopting *a)
{
    int exit_code = CTL_FINE;
    a->code = refunded_read(a->ctl, a->pay, a->since_s, &a->refunded);
    if (a->code < 0)
        return complain_list(a);
    do {
        if (gateway_ask(a->ctl, ask_page, a, &a->code) < 0)
            return complain_list(a);
        exit_code = adopt_page(a);
    } while (exit_code == CTL_FINE && a->more);
    return exit_code;
}

int adopt_orders(struct ctl *ctl, int64_t since_s, bool dry, struct adoption *ret_adoption)
{
    struct adopting a = {
        .ctl = ctl,
        .pay = gateway_open(ctl->loop, ctl->cfg, (uint32_t)cfg_int(ctl->cfg, CFG_GATEWAY_TIMEOUT)),
        .since_s = since_s,
        .dry = dry,
        .adoption = ret_adoption};
    *ret_adoption = (struct adoption){0};
    if (a.pay == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    buf_init(&a.captures, CAPTURES_MAX);
    int exit_code = read_list(&a);
    buf_free(&a.captures);
    audit_captures_free(&a.refunded);
    pay_free(a.pay);
    return exit_code;
}

/* ---- telling ---- */

void adoption_print(const struct adoption *adoption, bool dry, bool feed)
{
    (void)printf("%" PRIu64 " captured payments looked at: %" PRIu64 " orders %s, %" PRIu64
                 " known, %" PRIu64 " refunded, %" PRIu64 " left\n",
                 adoption->captures, adoption->adopted,
                 dry ? "would be adopted" : "adopted as confirmed", adoption->known,
                 adoption->refunded, adoption->left);
    if (feed)
        (void)printf("feed: %" PRIu64 " of them have their customer's name, %" PRIu64
                     " orders ended without a payment\n",
                     adoption->named, adoption->ended);
}

void adoption_print_json(const struct adoption *adoption)
{
    (void)printf("\"captures\":%" PRIu64 ",\"adopted\":%" PRIu64 ",\"known\":%" PRIu64
                 ",\"refunded\":%" PRIu64 ",\"named\":%" PRIu64 ",\"ended\":%" PRIu64
                 ",\"left\":%" PRIu64,
                 adoption->captures, adoption->adopted, adoption->known, adoption->refunded,
                 adoption->named, adoption->ended, adoption->left);
}
