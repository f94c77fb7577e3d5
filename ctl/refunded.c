#include "ctl/refunded.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/gateway.h"

#define ENTRY_SIZE (PAY_ID_MAX + 24)

struct reading {
    struct ctl *ctl;
    struct pay *pay;
    struct audit_captures *refunded;
    int64_t since_s;
    char last_id[PAY_ID_MAX + 1];
    int code;
    bool more;
};

static void name_entry(const char *intent_id, int64_t amount, char entry[ENTRY_SIZE])
{
    (void)snprintf(entry, ENTRY_SIZE, "%s %" PRId64, intent_id, amount);
}

static void take(const struct pay_returns *page, void *arg)
{
    struct reading *r = arg;
    char entry[ENTRY_SIZE];
    r->code = page->code;
    r->more = page->has_more;
    for (size_t i = 0; i < page->count && r->code == 0; i++) {
        const struct pay_return *refund = &page->items[i];
        (void)snprintf(r->last_id, sizeof r->last_id, "%s", refund->id);
        if (refund->created_s < r->since_s)
            r->more = false; /* newest first */
        if (refund->intent_id == NULL || strcmp(refund->status, "failed") == 0 ||
            strcmp(refund->status, "canceled") == 0)
            continue;
        name_entry(refund->intent_id, refund->amount, entry);
        r->code = audit_captures_add(r->refunded, entry);
    }
    loop_stop(r->ctl->loop);
}

static int ask_page(void *arg)
{
    struct reading *r = arg;
    return pay_returns(r->pay, PAY_RETURN_REFUND, NULL, r->last_id[0] == '\0' ? NULL : r->last_id,
                       take, r);
}

int refunded_read(struct ctl *ctl, struct pay *pay, int64_t since_s,
                  struct audit_captures *refunded)
{
    struct reading r = {.ctl = ctl, .pay = pay, .refunded = refunded, .since_s = since_s};
    int code;
    do
        code = gateway_ask(ctl, ask_page, &r, &r.code);
    while (code == 0 && r.more);
    return code;
}

bool refunded_has(struct audit_captures *refunded, const char *intent_id, int64_t amount)
{
    char entry[ENTRY_SIZE];
    name_entry(intent_id, amount, entry);
    return audit_captures_has(refunded, entry);
}
