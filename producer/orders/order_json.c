#include "producer/orders/order_json.h"

#include <assert.h>

enum {
    COLUMN_ID,
    COLUMN_STATUS,
    COLUMN_REASON,
    COLUMN_SKU,
    COLUMN_QUANTITY,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_PLACE,
    COLUMN_EXPIRES,
    COLUMN_CREATED,
    COLUMN_UPDATED,
    COLUMN_REFERENCE,
    COLUMN_PROBLEM,
    COLUMN_PARAM,
    COLUMN_HISTORY,
    COLUMN_ACTION
};
static_assert(COLUMN_HISTORY == ORDER_JSON_COLUMN_COUNT, "ORDER_JSON_COLUMNS come first");

static void text(struct buf *out, const struct pg_result *result, int row, int column,
                 const char *name)
{
    (void)buf_json_member(out, name, pg_text_or_null(result, row, column));
}

static void number(struct buf *out, const struct pg_result *result, int row, int column,
                   const char *name)
{
    if (pg_null(result, row, column))
        return;
    (void)buf_printf(out, ",\"%s\":", name);
    (void)buf_int(out, pg_int(result, row, column));
}

int64_t order_json_place(const struct pg_result *result, int row)
{
    if (pg_null(result, row, COLUMN_PLACE) || pg_null(result, row, COLUMN_EXPIRES))
        return 0;
    return pg_int(result, row, COLUMN_PLACE);
}

void order_json_estimate(struct buf *out, struct line_paces *paces, const char *sku, int64_t place)
{
    int64_t wait_s = paces == NULL || place == 0 ? 0 : line_paces_wait_s(paces, sku, place);
    if (wait_s == 0)
        return;
    (void)buf_str(out, ",\"estimated_wait_s\":");
    (void)buf_int(out, wait_s);
}

void order_json_watch(const struct pg_result *result, int row, struct line_paces *paces)
{
    int64_t place = order_json_place(result, row);
    if (place > 0)
        (void)line_paces_wait_s(paces, pg_text(result, row, COLUMN_SKU), place);
}

void order_json_encode(struct buf *out, const struct pg_result *result, int row,
                       struct line_paces *paces)
{
    (void)buf_str(out, "\"id\":");
    (void)buf_json_str(out, pg_text(result, row, COLUMN_ID));
    text(out, result, row, COLUMN_STATUS, "status");
    text(out, result, row, COLUMN_REASON, "reason");
    text(out, result, row, COLUMN_SKU, "sku");
    number(out, result, row, COLUMN_QUANTITY, "quantity");
    number(out, result, row, COLUMN_AMOUNT, "amount");
    text(out, result, row, COLUMN_CURRENCY, "currency");
    number(out, result, row, COLUMN_PLACE, "place_in_line");
    text(out, result, row, COLUMN_EXPIRES, "expires_at");
    order_json_estimate(out, paces, pg_text_or_null(result, row, COLUMN_SKU),
                        order_json_place(result, row));
    text(out, result, row, COLUMN_CREATED, "created_at");
    text(out, result, row, COLUMN_UPDATED, "updated_at");
    text(out, result, row, COLUMN_REFERENCE, "reference");
    text(out, result, row, COLUMN_PROBLEM, "payment_problem");
    text(out, result, row, COLUMN_PARAM, "param");
}

const char *order_json_status(const struct pg_result *result, int row)
{
    return pg_text(result, row, COLUMN_STATUS);
}

const char *order_json_history(const struct pg_result *result, int row)
{
    return pg_null(result, row, COLUMN_HISTORY) ? "[]" : pg_text(result, row, COLUMN_HISTORY);
}

const char *order_json_action(const struct pg_result *result, int row)
{
    return pg_text_or_null(result, row, COLUMN_ACTION);
}
