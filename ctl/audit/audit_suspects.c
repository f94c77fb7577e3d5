#include "ctl/audit/audit_suspects.h"

#include "common/base/err.h"
#include "ctl/audit/audit_report.h"

#define ARRAY_MAX ((size_t)4 * 1024 * 1024)

static const struct pg_statement compare = {
    "ctl_audit_captures",
    "select " AUDIT_COLUMNS ", amount, currency"
    "  from checkout.audit_captures($1::text[], $2::text[], $3::bigint[], $4::text[])",
    4};

void audit_suspects_init(struct audit_suspects *suspects)
{
    buf_init(&suspects->intents, ARRAY_MAX);
    buf_init(&suspects->orders, ARRAY_MAX);
    buf_init(&suspects->amounts, ARRAY_MAX);
    buf_init(&suspects->currencies, ARRAY_MAX);
    audit_suspects_reset(suspects);
}

void audit_suspects_free(struct audit_suspects *suspects)
{
    buf_free(&suspects->intents);
    buf_free(&suspects->orders);
    buf_free(&suspects->amounts);
    buf_free(&suspects->currencies);
}

void audit_suspects_reset(struct audit_suspects *suspects)
{
    struct buf *const arrays[] = {&suspects->intents, &suspects->orders, &suspects->amounts,
                                  &suspects->currencies};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        buf_reset(arrays[i]);
        pg_array_begin(arrays[i]);
    }
    suspects->count = 0;
}

int audit_suspects_add(struct audit_suspects *suspects, const char *intent_id, const char *order_id,
                       int64_t amount, const char *currency)
{
    if (suspects->count == AUDIT_SUSPECTS_MAX)
        return ERR_FULL;
    pg_array_text(&suspects->intents, intent_id);
    pg_array_text(&suspects->orders, order_id);
    pg_array_int(&suspects->amounts, amount);
    pg_array_text(&suspects->currencies, currency);
    suspects->count++;
    bool failed = suspects->intents.failed || suspects->orders.failed || suspects->amounts.failed ||
                  suspects->currencies.failed;
    return failed ? ERR_FULL : 0;
}

int audit_suspects_compare(struct ctl *ctl, struct audit_suspects *suspects, pg_result_cb rows,
                           void *arg)
{
    struct buf *const arrays[] = {&suspects->intents, &suspects->orders, &suspects->amounts,
                                  &suspects->currencies};
    const char *params[ARRAY_LEN(arrays)];
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        pg_array_end(arrays[i]);
        params[i] = buf_text(arrays[i]);
    }
    return ctl_query(ctl, &compare, params, rows, arg);
}
