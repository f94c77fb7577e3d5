#include "common/shop/event_json.h"

const struct pg_statement event_json_feed = {
    "feed",
    "select shard, event_id, shown, to_char(at at time zone 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), order_id,"
    "       sequence, status, reason, user_id, sku, quantity, amount, currency, reference"
    "  from checkout.feed($1::bigint[], $2::integer, $3::boolean)",
    3};

static void add_text(const struct pg_result *result, int row, enum event_json_column column,
                     const char *name, struct buf *out)
{
    (void)buf_json_member(out, name, pg_text_or_null(result, row, (int)column));
}

static void add_number(const struct pg_result *result, int row, enum event_json_column column,
                       const char *name, struct buf *out)
{
    if (!pg_null(result, row, (int)column))
        (void)buf_printf(out, ",\"%s\":%s", name, pg_text(result, row, (int)column));
}

void event_json_encode(struct buf *out, const struct pg_result *result, int row)
{
    (void)buf_printf(out, "\"id\":\"%s\"", pg_text(result, row, EVENT_JSON_ID));
    add_text(result, row, EVENT_JSON_AT, "time", out);
    add_text(result, row, EVENT_JSON_ORDER, "order_id", out);
    add_number(result, row, EVENT_JSON_SEQUENCE, "sequence", out);
    add_text(result, row, EVENT_JSON_STATUS, "status", out);
    add_text(result, row, EVENT_JSON_REASON, "reason", out);
    add_text(result, row, EVENT_JSON_USER, "user_id", out);
    add_text(result, row, EVENT_JSON_SKU, "sku", out);
    add_number(result, row, EVENT_JSON_QUANTITY, "quantity", out);
    add_number(result, row, EVENT_JSON_AMOUNT, "amount", out);
    add_text(result, row, EVENT_JSON_CURRENCY, "currency", out);
    add_text(result, row, EVENT_JSON_REFERENCE, "reference", out);
    add_number(result, row, EVENT_JSON_SHARD, "shard", out);
}
