#include "common/shop/event_row.h"

struct event event_of_row(const struct pg_result *result, int row)
{
    return (struct event){
        .id = pg_int(result, row, EVENT_ROW_ID),
        .sequence = pg_int(result, row, EVENT_ROW_SEQUENCE),
        .time_ms = pg_int(result, row, EVENT_ROW_TIME_MS),
        .order_id = pg_text(result, row, EVENT_ROW_ORDER_ID),
        .sku = pg_text_or_null(result, row, EVENT_ROW_SKU),
        .quantity = pg_int(result, row, EVENT_ROW_QUANTITY),
        .status = pg_text(result, row, EVENT_ROW_STATUS),
        .reason = pg_text_or_null(result, row, EVENT_ROW_REASON),
        .place_in_line = pg_int(result, row, EVENT_ROW_PLACE),
        .has_amount = !pg_null(result, row, EVENT_ROW_AMOUNT),
        .amount = pg_int(result, row, EVENT_ROW_AMOUNT),
        .currency = pg_text_or_null(result, row, EVENT_ROW_CURRENCY),
        .reference = pg_text_or_null(result, row, EVENT_ROW_REFERENCE),
        .next_action = pg_text_or_null(result, row, EVENT_ROW_NEXT_ACTION),
        .payment_problem = pg_text_or_null(result, row, EVENT_ROW_PAYMENT_PROBLEM),
        .param = pg_text_or_null(result, row, EVENT_ROW_PARAM),
        .traceparent = pg_text_or_null(result, row, EVENT_ROW_TRACEPARENT),
    };
}
